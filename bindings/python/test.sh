#!/usr/bin/env bash
# Creates a virtual environment with the libraries that the tests compare with, builds and installs
# the wheel, and runs all tests and a short training of the example. `VENV` may name an existing
# environment that contains these libraries, pytest and maturin; then only the wheel is installed.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh
step() { printf '\n== %s (after %d s)\n' "$*" $SECONDS; }

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
target=$CARGO_TARGET_DIR
. ../../tests/swiftshader.sh

step "dependencies"
install_packages mesa-vulkan-drivers libvulkan1 python3-venv

if [ -z "${VENV:-}" ]; then
    VENV=$target/python-venv
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
    # These are gigabytes, mostly never imported: do not cache or compile them.
    "$VENV/bin/pip" install --quiet --no-cache-dir --no-compile -r tests/requirements.txt
fi
python=$VENV/bin/python

step "format, clippy"
cargo fmt --check
cargo clippy --release -- -D warnings

step "the wheel"
rm -rf "$target/python-wheel"
"$VENV/bin/maturin" build --release --quiet --target-dir "$target" --out "$target/python-wheel"
ls -l "$target/python-wheel"
"$python" -m pip install --quiet --no-deps --force-reinstall "$target"/python-wheel/*.whl

step "types: the stubs describe the native module, and the package is correctly typed"
"$python" -m mypy.stubtest ctc_wgpu._native
"$python" -m mypy --strict --cache-dir "$scratch/mypy" python/ctc_wgpu/_{types,arrays,core,api,decode,edits}.py

step "tests: numpy"
"$python" -m pytest -q tests/test_{numpy,arrays,decode,process}.py

step "tests: every backend against an oracle in float64, all combinations of options"
"$python" -m pytest -q tests/differential

# TensorFlow, PyTorch and JAX have their own threads and XLA; each needs its own process.
step "tests: torch"
"$python" -m pytest -q tests/test_torch{,_graphs}.py
step "tests: jax"
"$python" -m pytest -q tests/test_jax.py
# TensorFlow's LLVM replaces Mesa's, so these tests use a driver without LLVM. Keras's tests import
# TensorFlow on each backend.
step "tests: tf"
VK_DRIVER_FILES=$icd "$python" -m pytest -q tests/test_{tf,tf_decode,readme}.py
for backend in tensorflow torch jax; do
    step "tests: Keras on $backend"
    KERAS_BACKEND=$backend VK_DRIVER_FILES=$icd "$python" -m pytest -q tests/test_{keras,keras_decode}.py
done

step "the benchmarks"
"$python" benches/overhead.py
"$python" benches/transfer.py

step "the example: training with the layer and with the loss"
# A quarter of the default training, without Keras's own loss.
"$python" examples/keras_ocr.py layer loss --epochs 3 --picture "$target/keras_ocr.png" --least 0.85

step "all checks passed"
