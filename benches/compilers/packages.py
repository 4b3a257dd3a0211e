"""Installs packages by name into folders of our own; the system stays as it is."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

TRIES = 3


class Unavailable(Exception):
    """The reason why a compiler cannot run here, in one line."""


def call(command, both=False, **options):
    """Returns what a command prints: on standard output, or on both streams."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{Path(command[0]).name}: {error}") from error
    if done.returncode != 0:
        raise Unavailable(
            f"{Path(command[0]).name}: {reason(done.stderr or done.stdout) or done.returncode}"
        )
    return done.stdout + done.stderr if both else done.stdout


def reason(text):
    """Returns the first line that reports an error, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line for line in lines if re.search(r"\berror\b|^E:", line, re.IGNORECASE)),
        lines[-1] if lines else "",
    )[:300]


def retried(command, **options):
    """Runs a command that uses the network, up to three times."""
    for left in reversed(range(TRIES)):
        try:
            return call(command, **options)
        except Unavailable:
            if left == 0:
                raise


def system_packages(*packages):
    """Installs missing packages with apt-get, which needs root."""
    missing = [package for package in packages if not installed(package)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Unavailable(
            f"needs Debian's {' '.join(missing)}: apt-get install {' '.join(missing)}"
        )
    retried(["apt-get", "--quiet", "--yes", "install", "--no-install-recommends", *missing])


def installed(package):
    try:
        return "ok installed" in call(["dpkg-query", "--show", "--showformat=${Status}", package])
    except Unavailable:
        return False


class Python:
    """A virtual environment."""

    def __init__(self, folder):
        self.folder = folder
        self.python = folder / "bin" / "python"

    def install(self, *packages, dependencies=False):
        if not self.python.exists():
            venv.create(self.folder, with_pip=True)
        options = [] if dependencies else ["--no-deps"]
        retried([self.python, "-m", "pip", "install", "--quiet", *options, *packages])

    def site(self):
        return Path(
            call(
                [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
            ).strip()
        )


class Debian:
    """Packages of one Debian suite, unpacked with all their dependencies, the C library included.

    apt uses the machine's own source with another suite, and keeps lists and packages in `folder`.
    """

    def __init__(self, folder, suite):
        self.folder, self.suite = folder.resolve(), suite
        self.root = self.folder / "root"

    def apt(self, *words):
        folder = self.folder
        places = {
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": folder / "lists",
            # An empty list of installed packages, so that apt downloads every dependency.
            "Dir::State::Status": folder / "status",
            "Dir::Cache": folder,
            "Dir::Cache::Archives": folder / "archives",
            # The user `_apt` may not be allowed to write to `folder`.
            "APT::Sandbox::User": "root",
        }
        options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]
        return retried(["apt-get", "--quiet", "--yes", *options, *words], cwd=folder)

    def update(self):
        """Fetches the suite's lists."""
        if sys.platform != "linux" or call(["dpkg", "--print-architecture"]).strip() != "amd64":
            raise Unavailable("only on Debian or Ubuntu for x86-64")
        for name in ("lists/partial", "archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(self.sources())
        self.apt("update")

    def sources(self):
        """Returns the machine's source of Debian's main packages, for our suite."""
        found = call(
            [
                "apt-get",
                "indextargets",
                "--format",
                "$(REPO_URI) $(COMPONENT)",
                "Created-By: Packages",
                "Origin: Debian",
            ]
        )
        places = [line.split()[0] for line in found.splitlines() if line.endswith(" main")]
        place = next((place for place in places if place.rstrip("/").endswith("/debian")), None)
        if place is None:
            raise Unavailable(
                "apt has no source of Debian's packages, or no lists yet: apt-get update"
            )
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        return "".join(
            f"{kind} [signed-by={keys}] {place} {self.suite} main\n" for kind in ("deb", "deb-src")
        )

    def install(self, *packages):
        """Downloads and unpacks packages. Returns the version of the first."""
        # Removes versions that the suite no longer has.
        self.apt("autoclean")
        self.apt("install", "--no-install-recommends", "--download-only", *packages)
        files = sorted((self.folder / "archives").glob("*.deb"))
        names = "".join(f"{file.name}\n" for file in files)
        mark = self.folder / "unpacked"
        if not mark.exists() or mark.read_text() != names:
            mark.unlink(missing_ok=True)
            shutil.rmtree(self.root, ignore_errors=True)
            self.root.mkdir()
            for file in files:
                call(["dpkg", "-x", file, self.root])
            mark.write_text(names)
        return self.version(packages[0])

    def version(self, package):
        """Returns the version of an unpacked package."""
        found = next((self.folder / "archives").glob(f"{package}_*.deb"))
        return found.name.split("_")[1].replace("%3a", ":")

    @property
    def libraries(self):
        return self.root / "usr/lib/x86_64-linux-gnu"

    def runner(self, *preloaded):
        """Returns the command prefix that runs a program with these libraries."""
        words = [self.libraries / "ld-linux-x86-64.so.2", "--library-path", self.libraries]
        return [*words, "--preload", " ".join(map(str, preloaded))] if preloaded else words
