#!/usr/bin/env bash
# Runs `ctc-wgpu validate --quick` on every software driver of Debian (lavapipe and SwiftShader for
# Vulkan, llvmpipe for GL) and on the CPU backend.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh
. tests/swiftshader.sh

# llvmpipe's subgroups have 8 lanes by default, with which the tests run. With 16, there are windows
# of one state pair per lane (shaders/shared/windows.wgsl).
export LP_NATIVE_VECTOR_WIDTH=512
# Adds SwiftShader to the installed drivers.
export VK_ADD_DRIVER_FILES=$icd

cargo build "${build[@]}" --bin ctc-wgpu
tool=${CARGO_TARGET_DIR:-target}/$built/ctc-wgpu
found=$("$tool" adapters)
echo "$found"
# Fails if a driver is missing, since it would not be validated.
for driver in 'llvmpipe.* vulkan ' 'SwiftShader.* vulkan ' 'llvmpipe.* gl '; do
    grep -q "$driver" <<<"$found" || { echo "error: no adapter matches '$driver'" >&2; exit 1; }
done
"$tool" validate --quick --report "$scratch/report.json"
# The report lists the limits, the arithmetic and the variants of each adapter.
python3 - "$scratch/report.json" <<'END'
import json, sys

found = [row for row in json.load(open(sys.argv[1]))["adapters"] if row["backend"] != "cpu"]
assert len(found) >= 3, found
for row in found:
    assert isinstance(row["limits"]["binding"], str), row
    assert row["numerics"]["division_ulp"] > 0, row
    assert len(row["variants"]) > 8, row
variants = [variant["variant"] for row in found for variant in row["variants"]]
assert "windows, one pair per lane" in variants, variants
END
