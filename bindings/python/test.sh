#!/usr/bin/env bash
# Makes a virtual environment, builds the wheel, installs it with the libraries that it is held against, and runs every test and a short
# training of the example. `VENV` may name an environment that has them all, beside pytest and maturin: then nothing but the wheel is installed.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh
step() { printf '\n== %s (after %d s)\n' "$*" $SECONDS; }

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
target=$CARGO_TARGET_DIR
. ../../tests/swiftshader.sh

step "what the tests need"
install_packages mesa-vulkan-drivers libvulkan1 python3-venv

if [ -z "${VENV:-}" ]; then
    VENV=$target/python-venv
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
    # Gigabytes, most of which nothing imports: neither kept a second time nor compiled.
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

step "types: the stubs are the native module's, and what is typed keeps to them"
"$python" -m mypy.stubtest ctc_wgpu._native
"$python" -m mypy --strict --cache-dir "$scratch/mypy" python/ctc_wgpu/_{arrays,core,api,decode}.py

step "tests: numpy"
"$python" -m pytest -q tests/test_{numpy,arrays,decode,process}.py

step "tests: every backend against an oracle in float64, with every option crossed"
"$python" -m pytest -q tests/differential

# TensorFlow, PyTorch and JAX each bring threads and an XLA of their own; a process has one of them.
step "tests: torch"
"$python" -m pytest -q tests/test_torch{,_graphs}.py
step "tests: jax"
"$python" -m pytest -q tests/test_jax.py
# Beside TensorFlow, whose LLVM takes the place of Mesa's, a driver without one. Keras's tests import it on each backend.
step "tests: tf"
VK_DRIVER_FILES=$icd "$python" -m pytest -q tests/test_{tf,tf_decode,readme}.py
for backend in tensorflow torch jax; do
    step "tests: Keras on $backend"
    KERAS_BACKEND=$backend VK_DRIVER_FILES=$icd "$python" -m pytest -q tests/test_{keras,keras_decode}.py
done

step "the benchmarks"
"$python" benches/overhead.py
"$python" benches/transfer.py

step "a network that learns to read, in both ways"
# A quarter of what the example does by itself, and without Keras's own loss beside it.
"$python" examples/keras_ocr.py layer loss --epochs 3 --picture "$target/keras_ocr.png" --least 0.85

step "all checks passed"
