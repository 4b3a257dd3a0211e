# Sourced by the test scripts. Creates the folder $scratch, which is removed when the script ends.

step() { printf '\n== %s\n' "$*"; }

# The crates that do not require a Python interpreter. Every script builds this selection, because
# another one would enable other features of the dependencies and recompile them.
crates=(--workspace --exclude ctc-wgpu-python --all-features)

# The selection and the folder of what the scripts build besides the tests: release builds of the
# package in the current folder, or, if this variable is set, the builds of `./test`. CI sets it,
# because each other selection of packages or profiles compiles the dependencies again.
if [ -n "${CTC_WGPU_TEST_BUILDS:-}" ]; then
    build=("${crates[@]}")
    built=debug
else
    build=(--release)
    built=release
fi

# Runs clippy and builds the documentation. With `--examples` both use the development dependencies,
# so that the second reuses the builds of the first.
check_crates() {
    cargo clippy "${crates[@]}" --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc "${crates[@]}" --no-deps --lib --examples
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Without this folder, Mesa's EGL and the Vulkan loader write to stderr, and some versions do not
# start.
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    export XDG_RUNTIME_DIR=$scratch/runtime
    mkdir -m 700 "$XDG_RUNTIME_DIR"
fi

# Debian's packages of the linker, which every crate requires.
compiler=(gcc libc6-dev)
if command -v cc >/dev/null; then compiler=(); fi
# Debian's packages of a software adapter for Vulkan (lavapipe).
vulkan=(mesa-vulkan-drivers libvulkan1)

# Ends the script if Rust is missing.
require_cargo() {
    command -v cargo >/dev/null && return
    echo "error: cargo was not found: install Rust from https://rustup.rs" >&2
    exit 1
}

# Runs a command as root, with sudo if necessary.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages PACKAGE…: installs those of the Debian packages that are missing, if apt-get
# exists.
install_packages() {
    if [ $# -eq 0 ] || ! command -v apt-get >/dev/null; then return; fi
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        echo "already installed: $*"
        return
    fi
    echo "installing ${missing[*]}"
    as_root apt-get update -qq || return
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
