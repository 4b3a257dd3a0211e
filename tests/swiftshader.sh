# Sourced after `setup.sh` by the scripts that use SwiftShader, a software Vulkan driver without
# LLVM. Sets `icd` to the path of its manifest. The driver is extracted from Chromium's package.
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
