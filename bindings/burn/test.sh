#!/usr/bin/env bash
# Installs what the tests need, builds the crate with Burn, and runs everything on lavapipe and on the CPU. A first build takes a
# quarter of an hour on two cores; so this is no part of the library's ./test.
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
    missing=()
    for package in mesa-vulkan-drivers libvulkan1; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing ${missing[*]}"
        root=()
        [ "$(id -u)" -eq 0 ] || root=(sudo)
        "${root[@]}" apt-get update -qq
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
fi

step "versions: one wgpu for Burn and the library"
# Two would compile, and their buffers would not be of one type; `cargo tree` fails if a name is ambiguous.
cargo tree --locked --quiet --invert wgpu --depth 0
cargo tree --locked --quiet --invert burn --depth 0

step "format"
cargo fmt --check && echo "formatted"

# One set of features and one profile, so that Burn is built once.
step "tests"
cargo test --locked --release --lib --tests

step "examples in the documentation"
cargo test --locked --release --doc

step "clippy and the documentation"
cargo clippy --locked --release --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --no-deps

step "a network that learns to read: ten minutes at most, 85 % of the lines"
cargo build --locked --release --examples
timeout 600 cargo run --locked --release --example ocr

step "all checks passed"
