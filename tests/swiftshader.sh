#!/usr/bin/env bash
# Brings SwiftShader, a second software driver for Vulkan, on Debian: it lies in Chromium's package, of which nothing else is
# taken. Prints what VK_DRIVER_FILES must hold for one process to see lavapipe and SwiftShader.
set -euo pipefail
cd "$(dirname "$0")/.."

icd=/usr/lib/chromium/vk_swiftshader_icd.json
if [ ! -f $icd ]; then
    root=$(realpath -m "${CARGO_TARGET_DIR:-target}")/swiftshader
    icd=$root$icd
    if [ ! -f "$icd" ]; then
        mkdir -p "$root"
        # Only whoever is root may write the lists.
        sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        "${sudo[@]}" apt-get update -qq >&2
        (cd "$root" && apt-get download -qq -o APT::Sandbox::User=root chromium-common >&2)
        dpkg-deb --fsys-tarfile "$root"/chromium-common_*.deb |
            tar x -C "$root" --wildcards './usr/lib/chromium/*swiftshader*'
        rm "$root"/chromium-common_*.deb
    fi
fi
lavapipe=$(compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' | head -1)
printf '%s:%s\n' "$lavapipe" "$icd"
