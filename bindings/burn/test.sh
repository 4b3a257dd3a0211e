#!/usr/bin/env bash
# Installs what the tests need, builds the crate with Burn, and runs everything on lavapipe and on the CPU. A first build takes a
# quarter of an hour on two cores; so this is no part of the library's ./test.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../target}/burn

step "what the tests need"
install_packages mesa-vulkan-drivers libvulkan1

step "versions: one wgpu for Burn and the library"
# Two would compile, and their buffers would not be of one type; `cargo tree` fails if a name is ambiguous.
cargo tree --locked --quiet --invert wgpu --depth 0
cargo tree --locked --quiet --invert burn --depth 0

step "format"
cargo fmt --check && echo "formatted"

# One set of features and one profile, so that Burn is built once; `quick` is in Cargo.toml.
step "tests"
cargo test --locked --profile quick --lib --tests

step "examples in the documentation"
cargo test --locked --profile quick --doc

step "clippy and the documentation"
cargo clippy --locked --profile quick --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile quick --no-deps --lib --examples

step "a network that learns to read: ten minutes at most, 85 % of the lines"
cargo build --locked --profile quick --examples
timeout 600 cargo run --locked --profile quick --example ocr -- flex 6

step "all checks passed"
