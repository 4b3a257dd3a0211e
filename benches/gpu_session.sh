#!/usr/bin/env bash
# Measures ctc-wgpu on a GPU with one command: correctness, times by stage, PyTorch and optax beside
# them, and the GPU tests. benches/README.md describes it; `benches/gpu_session.sh --help` lists the
# options. Everything is done by the standard library of the Python that $PYTHON names (python3).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    echo "$python is missing: install Python 3.9 or newer, or set PYTHON to its path" >&2
    exit 1
fi
exec "$python" "$here/session" "$@"
