#!/usr/bin/env bash
# `ctc-wgpu validate --quick` on every software driver that Debian has: lavapipe and SwiftShader for Vulkan, llvmpipe for GL; and
# on the CPU twin. SwiftShader lies in Chromium's package, of which nothing else is taken. Arguments go to `validate`.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

icd=/usr/lib/chromium/vk_swiftshader_icd.json
if [ ! -f $icd ]; then
    root=$(realpath -m "${CARGO_TARGET_DIR:-target}")/swiftshader
    icd=$root$icd
    if [ ! -f "$icd" ]; then
        mkdir -p "$root"
        as_root apt-get update -qq >&2
        (cd "$root" && apt-get download -qq -o APT::Sandbox::User=root chromium-common >&2)
        dpkg-deb --fsys-tarfile "$root"/chromium-common_*.deb |
            tar x -C "$root" --wildcards './usr/lib/chromium/*swiftshader*'
        rm "$root"/chromium-common_*.deb
    fi
fi
# Beside the drivers that the system has.
export VK_ADD_DRIVER_FILES=$icd

cargo build --release --features cli
tool=${CARGO_TARGET_DIR:-target}/release/ctc-wgpu
found=$("$tool" adapters)
echo "$found"
# A driver that is missing has not been validated.
for driver in 'llvmpipe.* vulkan ' 'SwiftShader.* vulkan ' 'llvmpipe.* gl '; do
    grep -q "$driver" <<<"$found" || { echo "there is no adapter like '$driver'" >&2; exit 1; }
done
"$tool" validate --quick "$@"
