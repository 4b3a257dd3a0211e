#!/usr/bin/env bash
# Runs a GPU session with tiny limits on the best adapter of this machine: with the development
# builds of `./test`, in another folder, and without cargo, git or environment variables. The
# session must produce a complete record.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

# Uses the builds of `./test`, which have the same features.
benches/gpu_session.sh prepare --dev --no-loader "$scratch/carried"
python=$(python3 -c 'import sys; print(sys.executable)')
(
    cd "$scratch"
    env -i PATH=/usr/bin:/bin PYTHON="$python" bash carried/benches/gpu_session.sh run out --limits tiny --scale 3
)
# With tiny limits, the suite and the other libraries may run out of time; no other step may.
benches/gpu_session.sh check "$scratch/out/session.json" --require machine,times,again,tests,more,table
