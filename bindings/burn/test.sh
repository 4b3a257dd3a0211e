#!/usr/bin/env bash
# Installs the required packages, builds the crate with Burn, and runs the tests and the OCR example
# on lavapipe and on the CPU. The first build takes a quarter of an hour on two cores, so the
# library's ./test does not include it.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../target}/burn

step "packages"
install_packages mesa-vulkan-drivers libvulkan1

step "versions: one wgpu for Burn and the library"
# With two versions the buffers would have different types. `cargo tree` fails if a name is
# ambiguous.
cargo tree --locked --quiet --invert wgpu --depth 0
cargo tree --locked --quiet --invert burn --depth 0

step "format"
cargo fmt --check && echo "formatted"

# One set of features and one profile, so that Burn is built once. Cargo.toml defines `quick`.
step "tests"
cargo test --locked --profile quick --lib --tests

step "examples in the documentation"
cargo test --locked --profile quick --doc

step "clippy and the documentation"
cargo clippy --locked --profile quick --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile quick --no-deps --lib --examples

step "OCR example: at least 85 % of the lines correct, within ten minutes"
cargo build --locked --profile quick --examples
timeout 600 cargo run --locked --profile quick --example ocr -- flex 6

step "all checks passed"
