#!/usr/bin/env bash
# Builds the page and the JavaScript module into bindings/web/dist/, ready to be served.
set -euo pipefail
cd "$(dirname "$0")"
target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")
export CARGO_TARGET_DIR=$target

./toolchain.sh build --release -p ctc-wgpu-web
cargo build --release --manifest-path bindgen/Cargo.toml --target-dir "$target/bindgen" --locked

rm -rf dist
mkdir -p dist
cp -r www/. dist/
cp model/weights.bin model/glyphs.bin dist/
"$target/bindgen/release/ctc-wgpu-web-bindgen" \
    "$target/wasm32-unknown-unknown/release/ctc_wgpu_web.wasm" dist/pkg
ls -l dist dist/pkg
