# What the test scripts begin with; to be sourced. Leaves in $scratch a folder that goes with the script.

step() { printf '\n== %s\n' "$*"; }

# Selects the crates that need no Python interpreter. Every script builds this selection: another one
# enables other features of the dependencies, and compiles them again.
crates=(--workspace --exclude ctc-wgpu-python --all-features)

# Runs clippy and makes the documentation. With `--examples` both need the development dependencies,
# so the second uses what the first has compiled.
check_crates() {
    cargo clippy "${crates[@]}" --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc "${crates[@]}" --no-deps --lib --examples
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Mesa's EGL and Vulkan's loader write to stderr without it, and some versions refuse to start.
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    export XDG_RUNTIME_DIR=$scratch/runtime
    mkdir -m 700 "$XDG_RUNTIME_DIR"
fi

# Debian's packages of the linker, without which no crate builds.
compiler=(gcc libc6-dev)
if command -v cc >/dev/null; then compiler=(); fi
# Those of a software adapter for Vulkan (lavapipe).
vulkan=(mesa-vulkan-drivers libvulkan1)

# Ends the script if Rust is missing.
require_cargo() {
    command -v cargo >/dev/null && return
    echo "cargo is missing: install Rust from https://rustup.rs" >&2
    exit 1
}

# As root, or by sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages PACKAGE…: those of Debian's packages that are missing; nothing where there is no apt-get.
install_packages() {
    if [ $# -eq 0 ] || ! command -v apt-get >/dev/null; then return; fi
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        echo "found: $*"
        return
    fi
    echo "installing ${missing[*]}"
    as_root apt-get update -qq || return
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
