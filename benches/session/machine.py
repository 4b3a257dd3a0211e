"""Describes the machine, and finds its GPU's driver for the tool."""

import json
import os
import platform
import re
import shutil
from pathlib import Path

from host import processor

from session.process import call

# Folders of drivers' manifests, besides those that the Vulkan loader searches by itself.
MANIFESTS = (
    "/usr/local/nvidia/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/opt/nvidia/share/vulkan/icd.d",
    "/usr/share/glvnd/vulkan/icd.d",
)

# The folders in which containers mount NVIDIA's libraries.
LIBRARIES = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64")
# The same driver for X and for EGL: some containers mount or support only one of them.
NVIDIA_DRIVERS = ("libGLX_nvidia.so.0", "libEGL_nvidia.so.0")

SMI = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,temperature.gpu,power.draw"


def quiet(command, limit_s=10, env=None):
    """Returns the output of a command, or None if it is missing or fails."""
    done = call(command, limit_s, env=env)
    return done.out.strip() if done.status == "ok" else None


def facts():
    """Returns facts about the machine, which do not identify its owner or network."""
    ldd = (quiet(["ldd", "--version"]) or "").splitlines() if platform.system() == "Linux" else []
    return {
        "os": f"{platform.system()} {platform.machine()}",
        "distribution": distribution(),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "libc": ldd[0] if ldd else " ".join(platform.libc_ver()).strip() or None,
    }


def distribution():
    try:
        found = re.search(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(), re.M)
        return found[1] if found else None
    except OSError:
        return platform.mac_ver()[0] or None


def smi():
    """Returns the output of nvidia-smi, one row per GPU, or None on other machines."""
    if not shutil.which("nvidia-smi"):
        return None
    text = quiet(["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader,nounits"])
    if text is None:
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return [dict(zip(SMI.split(","), row)) for row in rows]


def basic(scratch):
    """Returns the environment of every program."""
    env = dict(os.environ)
    env["PYTHONUNBUFFERED"] = "1"
    # The Vulkan loader and Mesa complain without it.
    if not env.get("XDG_RUNTIME_DIR"):
        runtime = scratch / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        env["XDG_RUNTIME_DIR"] = str(runtime)
    return env


def searching(env, *folders):
    """Returns `env` with these folders first in the search path of shared libraries."""
    old = env.get("LD_LIBRARY_PATH")
    path = os.pathsep.join([*map(str, folders), *([old] if old else [])])
    return {**env, "LD_LIBRARY_PATH": path} if path else env


def environments(env, loader, scratch):
    """Yields ways to find a Vulkan driver, each with its name, the simplest first."""
    yield "as the machine is", env
    if platform.system() != "Linux":
        return
    carried = [loader] if loader.is_dir() else []
    if carried:
        yield "with the carried Vulkan loader", searching(env, *carried)
    libraries = [folder for folder in LIBRARIES if any((Path(folder) / name).exists() for name in NVIDIA_DRIVERS)]
    own = [manifest(scratch, library) for library in NVIDIA_DRIVERS]
    found = [file for folder in MANIFESTS for file in sorted(Path(folder).glob("nvidia*.json"))]
    for path in [*found, *own]:
        chosen = {**env, "VK_DRIVER_FILES": str(path), "VK_ICD_FILENAMES": str(path)}
        yield f"with {path}", searching(chosen, *carried)
        yield f"with {path} and the driver's folder", searching(chosen, *carried, *libraries)


def manifest(scratch, library):
    """Writes the manifest of a driver that has none."""
    path = scratch / f"{library.split('.')[0]}.json"
    driver = {"library_path": library, "api_version": "1.3.0"}
    path.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": driver}))
    return path


def adapters(tool, env):
    # With this the loader prints why it skipped a driver.
    done = call([tool, "adapters", "--json"], 20, env={**env, "VK_LOADER_DEBUG": "error"})
    try:
        return json.loads(done.out)["adapters"], done
    except (ValueError, KeyError):
        return [], done


def matching(found, wanted):
    """Returns the adapter to measure: the first of that name, or without a name the best GPU."""
    if wanted is not None:
        return next((one for one in found if wanted.lower() in one["name"].lower()), None)
    return next((one for one in found if one["type"] != "software"), None)


def choose(tool, env, loader, scratch, wanted):
    """Returns the adapter, the environment in which the tool finds it, and all attempts.

    GL reaches some GPUs whose Vulkan driver is not found at first, and a software adapter may exist
    beside the GPU: both are used only if nothing better is found.
    """
    tried, second, third = [], None, None
    for name, candidate in environments(env, loader, scratch):
        found, done = adapters(tool, candidate)
        listed = [f"{one['name']} ({one['backend']})" for one in found]
        tried.append({"how": name, "adapters": listed, "tail": [] if found else done.tail()})
        adapter = matching([one for one in found if one["backend"] != "gl"], wanted)
        if adapter:
            return adapter, candidate, tried
        adapter = matching(found, wanted)
        if adapter and not second:
            second = adapter, candidate
        if wanted is None and found and not third:
            third = found[0], candidate
    adapter, candidate = second or third or (None, env)
    return adapter, candidate, tried
