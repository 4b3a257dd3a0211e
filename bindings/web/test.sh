#!/usr/bin/env bash
# Installs what the tests need, builds everything, and runs it in Node and in Chromium. Nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh

step "what the tests need"
# Chromium brings SwiftShader, the software driver that Node uses too.
packages=(libvulkan1)
[ -x /usr/bin/chromium ] || packages+=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
install_packages "${packages[@]}"
# Their install scripts only touch other systems.
npm ci --ignore-scripts --no-audit --no-fund

step "build"
./build.sh

step "format, clippy, documentation and the crate's own tests"
cargo fmt -p ctc-wgpu-web --check
cargo fmt --manifest-path bindgen/Cargo.toml --check
check_crates
cargo test "${crates[@]}" --lib

step "in Node and in Chromium"
npm test
