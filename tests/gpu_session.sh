#!/usr/bin/env bash
# Rehearses a session on a GPU with tiny limits, on the best adapter of this machine: with the
# development builds that `./test` made, in another folder, and without cargo, git or any variable of
# the environment. It must end with a complete record.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

# Those that `./test` made: the features are the same.
benches/gpu_session.sh prepare --dev --no-loader "$scratch/carried"
python=$(python3 -c 'import sys; print(sys.executable)')
(
    cd "$scratch"
    env -i PATH=/usr/bin:/bin PYTHON="$python" bash carried/benches/gpu_session.sh run out --limits tiny --scale 3
)
# The limits of a tiny run cut the suite and perhaps the peers short, and nothing else.
benches/gpu_session.sh check "$scratch/out/session.json" --require machine,times,again,tests,more,table
