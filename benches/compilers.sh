#!/usr/bin/env bash
# What real GPU compilers make of the kernels, without a GPU: registers, spills, code size, and the cycles of NVIDIA's loops.
#
#     benches/compilers.sh                      # every compiler; writes benches/results/<date>-compilers.json and .md
#     benches/compilers.sh --only ptxas,radv    # those whose names begin so; the rest is kept from the results of the day
#     benches/compilers.sh --table FILE.json    # only makes the page again
#
# Packages are installed by name into target/compilers. A compiler that cannot be had is reported with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 benches/compilers/main.py "$@"
