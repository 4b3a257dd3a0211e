"""Gathers everything for the machine with the GPU in one folder, laid out like the repository."""

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from host import commit

from session import Failed

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DEFAULT = TARGET / "gpu-session"
FACTS = "bundle.json"
EXE = ".exe" if os.name == "nt" else ""

# The files that the run reads, besides the two programs. The session's own tests are left out.
FILES = (
    "benches/gpu_session.sh",
    "benches/*.py",
    "benches/peers/*.py",
    "benches/session/*.py",
    "tests/data/ocr/*",
)

# Debian's and Ubuntu's packages: the Vulkan loader, and the libraries that NVIDIA's driver links to
# or loads, which a machine without a display may lack. Only the shared libraries are kept. Without
# GLVND the driver (580.159 on an H200) is found and loaded, but has no `vkCreateInstance`.
PACKAGES = (
    *("libvulkan1", "libx11-6", "libxext6", "libxcb1", "libxau6", "libxdmcp6", "libbsd0", "libmd0"),
    *("libglvnd0", "libegl1", "libglx0", "libgl1", "libopengl0", "libgles2"),
)

MOST_BYTES = 50 << 20

# The version of the oldest common systems on rented GPU machines (Ubuntu 22.04).
GLIBC = (2, 35)


def tool(root):
    return root / f"ctc-wgpu{EXE}"


def tests(root):
    return root / f"gpu-tests{EXE}"


def find(given):
    """Returns the folder of `prepare`: the named one, the one with this script, or the default."""
    for folder in [given] if given else [ROOT, DEFAULT]:
        if (folder / FACTS).exists():
            return folder.resolve()
    where = given or DEFAULT
    raise Failed(f"{where / FACTS} is missing: run `benches/gpu_session.sh prepare` first, on a machine with Rust")


def call(command, **options):
    """Runs a command of the build and returns its stdout. Its messages go to the terminal."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, **options)
    except OSError as error:
        raise Failed(f"{words[0]}: {error}") from None
    if done.returncode != 0:
        raise Failed(f"`{' '.join(words)}` ended with exit status {done.returncode}{errors(done.stderr)}")
    return done.stdout


def errors(text):
    """Returns the end of a program's stderr, if it was kept. apt-get marks its errors with `E:`."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    lines = [line for line in lines if line.startswith("E:")] or lines
    return f": {'; '.join(lines[-3:])}" if lines else ""


def executable(messages, kind, name):
    """Returns the path of the program `name` from cargo's messages."""
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact" or not message.get("executable"):
            continue
        if message["target"]["name"] == name and kind in message["target"]["kind"]:
            return Path(message["executable"])
    raise Failed(f"cargo built no {kind} called {name}")


def build(dev):
    """Builds the tool and the GPU tests, and returns their paths.

    cargo builds the tool for its integration tests.
    """
    # `dev` uses the packages and features of `./test` (`crates` in tests/setup.sh), so that nothing
    # is compiled twice.
    tested = ["--workspace", "--exclude", "ctc-wgpu-python", "--all-features"]
    flags = tested if dev else ["--release", "--package", "ctc-wgpu", "--package", "ctc-wgpu-cli"]
    words = ["cargo", "test", "--no-run", "--test", "gpu", "--test", "cli", *flags, "--message-format", "json-render-diagnostics"]
    messages = call(words, cwd=ROOT)
    return executable(messages, "bin", "ctc-wgpu"), executable(messages, "test", "gpu")


def strip(path):
    """Removes the symbols, which are most of a program's bytes."""
    if os.name == "nt":
        return
    words = ["strip", str(path)] if platform.system() == "Linux" else ["strip", "-x", str(path)]
    try:
        subprocess.run(words, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"not stripped: {path.name}: {error}", file=sys.stderr)


def glibc(path):
    """Returns the newest version of glibc's symbols that a program requires, from its strings."""
    found = re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", path.read_bytes())
    return max((tuple(map(int, version)) for version in found), default=None)


def loader(folder):
    """Gathers the Vulkan loader and returns the libraries' names, or the reason why there are none.

    A failure is not fatal, since most machines have a loader.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "not gathered: there is no apt-get here, so the GPU's machine needs a Vulkan loader of its own"
    folder.mkdir()
    try:
        return gather(folder)
    except Failed as failure:
        shutil.rmtree(folder)
        return f"not gathered: {failure}"


def gather(folder):
    """Copies the shared libraries of the loader's packages under the names that programs load."""
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch) / "unpacked"
        # apt-get warns that its own user may not write here, and succeeds all the same.
        call(["apt-get", "download", "--quiet", *PACKAGES], cwd=scratch, stderr=subprocess.PIPE)
        for package in sorted(Path(scratch).glob("*.deb")):
            call(["dpkg-deb", "-x", package, unpacked])
        for link in unpacked.rglob("*.so.*"):
            # By soname; no program requests the version that follows it.
            if link.is_symlink():
                shutil.copyfile(link.resolve(), folder / link.name)
    names = sorted(file.name for file in folder.iterdir())
    if "libvulkan.so.1" not in names:
        raise Failed(f"the packages {' '.join(PACKAGES)} hold no libvulkan.so.1")
    return f"{', '.join(names)}"


def version():
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


def copy(folder):
    for pattern in FILES:
        found = sorted(ROOT.glob(pattern))
        if not found:
            raise Failed(f"{pattern} matches no file")
        for file in found:
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def mib(count):
    return f"{count / (1 << 20):6.2f} MiB"


def prepare(folder, dev, with_loader):
    """Makes the folder anew, prints its content, and fails if it exceeds the allowed size."""
    began = commit()
    built = build(dev)
    if folder.exists():
        if not (folder / FACTS).exists() and any(folder.iterdir()):
            raise Failed(f"{folder} exists and is not such a folder: name another, or remove it")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    # Written first, so that an incomplete folder is recognised.
    (folder / FACTS).write_text("{}\n", encoding="utf-8")
    for source, target in zip(built, (tool(folder), tests(folder))):
        shutil.copy(source, target)
        strip(target)
    copy(folder)
    needs = [glibc(path) for path in (tool(folder), tests(folder))]
    newest = max((found for found in needs if found), default=None)
    gathered = loader(folder / "loader") if with_loader else "not gathered, because of --no-loader"
    facts = {
        "version": version(),
        "commit": began,
        "built": datetime.date.today().isoformat(),
        "profile": "dev" if dev else "release",
        "rustc": call(["rustc", "--version"]).strip(),
        "target": f"{platform.system()} {platform.machine()}",
        "glibc": ".".join(map(str, newest)) if newest else None,
        "loader": gathered,
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    for entry in sorted(folder.iterdir()):
        print(f"{mib(size(entry))}  {entry.name}")
    total = size(folder)
    print(f"{mib(total)}  in all, of at most {MOST_BYTES >> 20} MiB")
    print(f"loader: {gathered}")
    if newest:
        old = "" if newest <= GLIBC else f": newer than {'.'.join(map(str, GLIBC))}, so older systems cannot run it"
        print(f"the programs need glibc {facts['glibc']} or newer{old}")
    if total > MOST_BYTES:
        raise Failed(f"{folder} is larger than {MOST_BYTES >> 20} MiB")
    print(f"carry {folder} to the machine with the GPU, and there: bash {folder.name}/benches/gpu_session.sh run OUT")
    return 0
