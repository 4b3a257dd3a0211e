"""Runs the compilers of Mesa's Vulkan drivers without the hardware.

RADV creates a null device of any family by itself. The other drivers need a `drm-shim` of Mesa, a
library that stands in for the kernel driver. Nothing is dispatched.
"""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field

from packages import Debian, Python, Unavailable, call, reason, system_packages

TRIXIE, SID = "trixie", "sid"

# The limit for all pipelines of one device, which take 5 to 40 s.
LONGEST_S = 300


@dataclass(frozen=True)
class Device:
    id: str
    what: str
    suite: str
    # The driver's manifest in `vulkan/icd.d`.
    driver: str
    environment: dict = field(default_factory=dict)
    shim: str | None = None


def radv(family, what):
    return Device(
        f"radv-{family}",
        f"AMD {what}, RADV with ACO",
        TRIXIE,
        "radeon_icd.json",
        {"AMD_FORCE_FAMILY": family, "RADV_FORCE_FAMILY": family},
    )


def nvk(chipset, name, what):
    environment = {"NVK_I_WANT_A_BROKEN_VULKAN_DRIVER": "1", "NOUVEAU_CHIPSET": chipset}
    return Device(
        f"nvk-{name}",
        f"NVIDIA {what}, NVK with NAK",
        SID,
        "nouveau_icd.json",
        environment,
        "libnouveau_noop_drm_shim.so",
    )


def turnip(model):
    return Device(
        f"turnip-{model}",
        f"Adreno {model}, Turnip with ir3",
        SID,
        "freedreno_icd.json",
        {"FD_GPU_ID": model},
        "libfreedreno_noop_drm_shim.so",
    )


def anv(platform, what):
    return Device(
        f"anv-{platform}",
        f"Intel {what}, ANV with brw",
        TRIXIE,
        "intel_icd.json",
        {"INTEL_STUB_GPU_PLATFORM": platform},
        INTEL_SHIM,
    )


# Debian's package of shims does not contain Intel's.
INTEL_SHIM = "libintel_noop_drm_shim.so"
MESA_NEEDS = ["meson==1.12.1", "ninja==1.13.2", "mako==1.4.3", "pyyaml==6.0.4", "packaging==26.4"]
OFF = ["glx", "egl", "gles1", "gles2", "llvm", "gbm", "zstd", "libunwind", "valgrind"]
MESA_OPTIONS = [
    "-Dtools=drm-shim,intel",
    "-Dbuildtype=release",
    "-Dgallium-drivers=",
    "-Dvulkan-drivers=",
    "-Dplatforms=",
    "-Dopengl=false",
    *(f"-D{feature}=disabled" for feature in OFF),
]

DEVICES = [
    radv("gfx1201", "RDNA4"),
    radv("gfx1150", "RDNA3.5"),
    radv("navi31", "RDNA3"),
    radv("navi21", "RDNA2"),
    radv("navi10", "RDNA1"),
    radv("vega10", "GCN5"),
    radv("polaris10", "GCN4"),
    nvk("192", "ada", "Ada"),
    nvk("172", "ampere", "Ampere"),
    nvk("162", "turing", "Turing"),
    Device(
        "honeykrisp-m1",
        "Apple M1, Honeykrisp",
        SID,
        "asahi_icd.json",
        {},
        "libasahi_noop_drm_shim.so",
    ),
    turnip("740"),
    turnip("618"),
    anv("dg2", "DG2 (Arc A)"),
    anv("lnl", "Lunar Lake (Xe2)"),
]

# Our names for the drivers' statistics: the first of the names on the right that a driver reports.
FIGURES = {
    "registers": ["VGPRs", "Number of GPRs", "GPRs", "Registers used", "Max live registers"],
    "sgprs": ["SGPRs"],
    "spills": ["Spilled VGPRs", "Spills to memory", "Spills", "STP Count", "Spill Count"],
    "fills": ["Fills from memory", "Fills", "LDP Count", "Fill Count"],
    "sgpr_spills": ["Spilled SGPRs"],
    "scratch_bytes": ["Scratch size", "SLM size", "Scratch", "Scratch Memory Size"],
    "code_bytes": ["Code size"],
    "instructions": ["Instructions", "Instruction count", "Instruction Count"],
    "occupancy": ["Subgroups per SIMD", "Max warps/SM", "Threads", "Max Waves Per Core"],
    "latency": ["Latency"],
    "inverse_throughput": ["Inverse Throughput"],
    "estimated_cycles": ["Static cycle count", "Cycle Count"],
}
# Turnip reports the size of code in words of 4 bytes.
CODE_UNIT = {"freedreno_icd.json": 4}


class Mesa:
    """Compiles for the devices, and installs each suite of packages once."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.suites = {}

    def debian(self, suite):
        """Returns the suite's packages and their version of Mesa."""
        if suite not in self.suites:
            try:
                debian = Debian(self.folder / f"debian-{suite}", suite)
                debian.update()
                shims = ["mesa-drm-shim"] if suite == SID else []
                version = debian.install("mesa-vulkan-drivers", "libvulkan1", *shims)
                self.suites[suite] = (debian, version)
            except Unavailable as error:
                self.suites[suite] = error
        found = self.suites[suite]
        if isinstance(found, Unavailable):
            raise found
        return found

    def compile(self, device, pipelines, folder):
        """Returns the compiler's version, and its figures of each pipeline."""
        debian, version = self.debian(device.suite)
        shim = []
        if device.shim == INTEL_SHIM:
            shim = [intel_shim(self.folder, debian)]
        elif device.shim:
            shim = [debian.libraries / device.shim]
        runtime = self.folder / "runtime"
        runtime.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "VK_DRIVER_FILES": str(debian.root / "usr/share/vulkan/icd.d" / device.driver),
            "XDG_RUNTIME_DIR": str(runtime),
            # Statistics are reported for what is compiled, not for what a cache holds.
            "MESA_SHADER_CACHE_DISABLE": "true",
            **device.environment,
        }
        command = [*debian.runner(*shim), self.program, "stats", folder]
        compiled = {}
        names = [pipeline["name"] for pipeline in pipelines]
        while names:
            lines, failure = run([*command, *names], environment)
            if not lines:
                raise Unavailable(failure or "the program printed nothing")
            for line in lines[1:]:
                compiled[line["name"]] = figures(line, CODE_UNIT.get(device.driver, 1))
            names = names[len(lines) - 1 :]
            if names:
                # The driver crashed while it compiled the next one.
                compiled[names.pop(0)] = {"error": failure or "the driver ended the program"}
        return (
            described(version, lines[0]),
            compiled,
        )


def described(version, device):
    """Returns the version of the compiler with its device and subgroup sizes."""
    sizes = "–".join(map(str, sorted(set(device["subgroups"]))))
    return f"Debian's Mesa {version}; {device['device'].strip()}, subgroups of {sizes}"


def run(command, environment):
    """Returns the lines that were printed, and the error if there was one."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
        out, failure = done.stdout, None
        if done.returncode < 0:
            failure = f"the driver crashed ({signal.Signals(-done.returncode).name})"
        elif done.returncode > 0:
            failure = reason(done.stderr)
    except subprocess.TimeoutExpired as error:
        out, failure = (error.stdout or b"").decode(), f"no answer for {LONGEST_S} s"
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")], failure


def figures(line, code_unit):
    """Returns the statistics of one pipeline under our names."""
    if "error" in line:
        return {"error": line["error"]}
    # If a driver compiles for several sizes of subgroup, it runs the largest.
    executable = max(line["executables"], key=lambda executable: executable["subgroup"])
    statistics = executable["statistics"]
    found = {"subgroup": executable["subgroup"]}
    for ours, theirs in FIGURES.items():
        value = next((statistics[name] for name in theirs if name in statistics), None)
        if value is not None:
            found[ours] = value
    if "code_bytes" in found:
        found["code_bytes"] *= code_unit
    return found


def intel_shim(folder, debian):
    """Builds Intel's shim from Debian's source package of Mesa, once."""
    source, build = folder / "mesa", folder / "mesa-build"
    shim = build / "src/intel/tools" / INTEL_SHIM
    if shim.exists():
        return shim
    system_packages("flex", "bison", "pkg-config", "libdrm-dev", "gcc", "g++")
    python = Python(folder / "python-mesa")
    python.install(*MESA_NEEDS, dependencies=True)
    environment = {**os.environ, "PATH": f"{python.python.parent}:{os.environ['PATH']}"}
    debian.apt("source", "--download-only", "--tar-only", "mesa")
    source.mkdir(exist_ok=True)
    call(
        [
            "tar",
            "-xf",
            max(debian.folder.glob("mesa_*.orig.tar.*")),
            "-C",
            source,
            "--strip-components=1",
        ]
    )
    again = ["--wipe"] if (build / "meson-private").exists() else []
    call(["meson", "setup", *again, *MESA_OPTIONS, build, source], env=environment)
    call(["ninja", "-C", build, f"src/intel/tools/{INTEL_SHIM}"], env=environment)
    return shim
