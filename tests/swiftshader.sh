# Sourced by the scripts that need SwiftShader, a Vulkan driver in software and without LLVM; leaves its file in `icd`. It lies in
# Chromium's package, of which nothing else is taken. `setup.sh` must have been sourced.
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
