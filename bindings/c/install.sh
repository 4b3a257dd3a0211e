#!/usr/bin/env bash
# Builds the library and installs it below PREFIX: install.sh [PREFIX]
# The default is /usr/local. For Linux.
set -euo pipefail
prefix=$(realpath -m "${1:-/usr/local}")
cd "$(dirname "$0")"

. ../../tests/setup.sh

version=$(cargo pkgid | sed 's/.*[#@]//')
target=${CARGO_TARGET_DIR:-../../target}/$built
echo "building, which takes some minutes"
cargo build --quiet "${build[@]}" --lib
# The libraries that a program must link in addition to the static library: those of Rust's standard
# library, since no dependency links another one.
print=(--crate-name empty --crate-type staticlib --print native-static-libs -o "$scratch/empty.a")
if ! notes=$(rustc "${print[@]}" - </dev/null 2>&1); then
    echo "$notes" >&2
    exit 1
fi
libs=$(sed -n 's/.*native-static-libs: //p' <<<"$notes")

name=libctc_wgpu_c
install -d "$prefix/include" "$prefix/lib/pkgconfig"
install -m 644 include/ctc_wgpu.h "$prefix/include/"
install -m 644 "$target/$name.a" "$prefix/lib/"
install -m 755 "$target/$name.so" "$prefix/lib/$name.so.$version"
ln -sf "$name.so.$version" "$prefix/lib/$name.so.0"
ln -sf "$name.so.0" "$prefix/lib/$name.so"
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|; s|@LIBS_PRIVATE@|$libs|" ctc-wgpu.pc.in \
    >"$prefix/lib/pkgconfig/ctc-wgpu.pc"
echo "installed ctc-wgpu $version below $prefix"
