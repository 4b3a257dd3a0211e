#!/usr/bin/env bash
# Compiles the kernels with the compilers of real GPUs, without a GPU: registers, spills, code size,
# and the cycles of NVIDIA's loops.
#
#     benches/compilers.sh                    # writes benches/results/<date>-compilers.json and .md
#     benches/compilers.sh --only ptxas,radv  # runs these and keeps the others' results of the day
#     benches/compilers.sh --table FILE.json  # writes the page of these results again
#
# Installs packages by name into target/compilers. Reports the reason if a compiler cannot run.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 benches/compilers/main.py "$@"
