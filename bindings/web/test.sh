#!/usr/bin/env bash
# Installs what the tests need, builds everything, and runs it in Node and in Chromium. Nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }

if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    # Vulkan's loader complains without it.
    XDG_RUNTIME_DIR=$(mktemp -d)
    export XDG_RUNTIME_DIR
    trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
fi

step "what the tests need"
if command -v apt-get >/dev/null; then
    # Chromium brings SwiftShader, the software driver that Node uses too.
    packages=()
    [ -x /usr/bin/chromium ] || packages+=(chromium)
    dpkg-query -W -f '${Status}' libvulkan1 2>/dev/null | grep -q 'ok installed' || packages+=(libvulkan1)
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
    if [ ${#packages[@]} -gt 0 ]; then
        echo "installing ${packages[*]}"
        root=()
        [ "$(id -u)" -eq 0 ] || root=(sudo)
        "${root[@]}" apt-get update -qq
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    fi
fi
# Their install scripts only touch other systems.
npm ci --ignore-scripts --no-audit --no-fund

step "build"
./build.sh

step "format, clippy, documentation and the crate's own tests"
cargo fmt -p ctc-wgpu-web --check
cargo fmt --manifest-path bindgen/Cargo.toml --check
# With the library's own checks and features, so that what `./test` has built is used again.
cargo clippy --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
cargo test --workspace --all-features --lib

step "in Node and in Chromium"
npm test
