#!/usr/bin/env bash
# Builds the library and installs it below PREFIX: install.sh [PREFIX]
# The default is /usr/local. For Linux.
set -euo pipefail
prefix=$(realpath -m "${1:-/usr/local}")
cd "$(dirname "$0")"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
target=${CARGO_TARGET_DIR:-../../target}
echo "building, which takes some minutes"
# rustc prints the libraries that a program must link in addition to the static library.
if ! notes=$(cargo rustc --release --lib -- --print native-static-libs 2>&1); then
    echo "$notes" >&2
    exit 1
fi
libs=$(sed -n 's/.*native-static-libs: //p' <<<"$notes" | tail -n 1)

name=libctc_wgpu_c
install -d "$prefix/include" "$prefix/lib/pkgconfig"
install -m 644 include/ctc_wgpu.h "$prefix/include/"
install -m 644 "$target/release/$name.a" "$prefix/lib/"
install -m 755 "$target/release/$name.so" "$prefix/lib/$name.so.$version"
ln -sf "$name.so.$version" "$prefix/lib/$name.so.0"
ln -sf "$name.so.0" "$prefix/lib/$name.so"
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|; s|@LIBS_PRIVATE@|$libs|" ctc-wgpu.pc.in \
    >"$prefix/lib/pkgconfig/ctc-wgpu.pc"
echo "installed ctc-wgpu $version below $prefix"
