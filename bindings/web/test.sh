#!/usr/bin/env bash
# Installs the required packages, builds everything, and runs the tests in Node and in Chromium. No
# test is skipped.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh

step "packages"
# Chromium contains SwiftShader, the software GPU driver, which Node uses too.
packages=(libvulkan1)
[ -x /usr/bin/chromium ] || packages+=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
install_packages "${packages[@]}"
# The install scripts do nothing on Linux.
npm ci --ignore-scripts --no-audit --no-fund

step "build"
./build.sh

step "format, clippy, documentation and the crate's own tests"
cargo fmt -p ctc-wgpu-web --check
cargo fmt --manifest-path bindgen/Cargo.toml --check
check_crates
cargo test "${crates[@]}" --lib

step "tests in Node and in Chromium"
npm test
