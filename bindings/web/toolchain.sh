#!/usr/bin/env bash
# Runs cargo for wasm32-unknown-unknown: `toolchain.sh build --release`.
#
# If the standard library for that target is installed, or rustup can install it, this runs cargo
# itself. Otherwise, on Debian, the standard library is built once from Debian's packages rustc-web
# and rust-web-src, which are unpacked below target/ and not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
triple=wasm32-unknown-unknown
command=$1
shift

has_std() { compgen -G "$("$1" --print sysroot)/lib/rustlib/$triple/lib/libstd-*.rlib" >/dev/null; }

# Every browser with WebGPU supports 128-bit SIMD, which the CPU backend uses.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Ctarget-feature=+simd128

if ! has_std rustc && command -v rustup >/dev/null; then
    rustup target add $triple >&2 || echo "rustup has no $triple: building the standard library instead" >&2
fi
if has_std rustc; then
    exec cargo "$command" --target $triple "$@"
fi

if ! command -v apt-get >/dev/null; then
    echo "no standard library for $triple: install it with \`rustup target add $triple\`" >&2
    exit 1
fi
root=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/wasm-toolchain
linker=$(compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/rust-lld")
mkdir -p "$root/debs/partial" "$root/bin"

if [ ! -x "$root/usr/bin/rustc" ]; then
    apt-get update -qq
    # apt also downloads missing dependencies; only the compiler's own packages are unpacked.
    apt-get install -y -qq --no-install-recommends --download-only \
        -o Dir::Cache::archives="$root/debs" -o APT::Sandbox::User=root rustc-web
    for package in "$root"/debs/{rustc-web,libstd-rust-web,libllvm}*.deb; do dpkg-deb -x "$package" "$root"; done
    (cd "$root/debs" && apt-get download -qq -o APT::Sandbox::User=root rust-web-src)
    dpkg-deb --fsys-tarfile "$root"/debs/rust-web-src_*.deb |
        tar x -C "$root" --wildcards './usr/src/rustc-*/library' './usr/lib/rustlib/src/rust'
    rm -rf "$root/debs"
fi
for tool in rustc rustdoc; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
        "$root/usr/lib/$(uname -m)-linux-gnu" "$root/usr/bin/$tool" >"$root/bin/$tool"
    chmod +x "$root/bin/$tool"
done
export RUSTC=$root/bin/rustc RUSTDOC=$root/bin/rustdoc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker

if ! has_std "$RUSTC"; then
    mkdir -p "$root/std/src"
    printf '[package]\nname = "std-for-wasm"\nedition = "2021"\n[workspace]\n' >"$root/std/Cargo.toml"
    echo '#![no_std]' >"$root/std/src/lib.rs"
    # With bitcode, because the release profile optimises across crates. The library is copied into
    # the sysroot, so that later builds need no unstable flag.
    (cd "$root/std" && RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$root/std/target \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Ctarget-feature=+simd128 -Cembed-bitcode=yes" \
        cargo build --release -Zbuild-std=std,panic_abort --target $triple)
    mkdir -p "$root/usr/lib/rustlib/$triple/lib"
    cp "$root"/std/target/$triple/release/deps/lib*.rlib "$root/usr/lib/rustlib/$triple/lib/"
    rm -rf "$root/usr/lib/rustlib/$triple/lib"/libstd_for_wasm-*.rlib "$root/std"
fi
exec cargo "$command" --target $triple "$@"
