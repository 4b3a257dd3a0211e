"""Runs commands for the benchmarks, and describes the machine that they ran on."""

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# The seconds after which a program is ended, so that one that hangs does not block the rest.
LONGEST_S = 3600


class Failed(Exception):
    """A command failed: its first error, or the last line that it printed."""


def call(command, limit=LONGEST_S):
    """Returns what a command prints. A failure is reported in one line."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=limit, cwd=ROOT
        )
    except subprocess.TimeoutExpired as error:
        reason = f"ended after {limit:g} s"
        # The lines that were complete by then still count.
        output = error.stdout or ""
        # Python returns bytes here, even if text was requested.
        output = output if isinstance(output, str) else output.decode(errors="replace")
        complete = output.rpartition("\n")[0]
        if not complete:
            raise Failed(reason) from None
        say(f"  {reason}")
        return complete
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # Mesa's drivers print an error about this variable wherever no desktop runs.
        errors = [line for line in lines if "error" in line.lower() and "XDG_RUNTIME_DIR" not in line]
        reason = (errors[:1] or lines[-1:] or [f"exit status {done.returncode}"])[0]
        # A program may fail at one shape only, and have printed the figures of others.
        if not done.stdout.strip():
            raise Failed(reason)
        say(f"  {reason}")
    return done.stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


class Others:
    """Counts the cores that other programs keep busy, on Linux."""

    def __init__(self):
        self.since = self.now()

    @staticmethod
    def now():
        try:
            # The time of all processes: user, nice, system, then idle and waiting, then interrupts
            # and stolen.
            ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        except OSError:
            return None
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        times = os.times()
        return times.elapsed, busy - (times.children_user + times.children_system)

    def cores(self):
        now = self.now()
        if not now or not self.since:
            return None
        return round((now[1] - self.since[1]) / (now[0] - self.since[0]), 2)


def processor():
    """Returns the processor's name, or the architecture if the system does not report one."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        return found[1].strip() if found else platform.machine()
    except OSError:
        pass
    try:
        return call(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()
    except Failed:
        return platform.processor() or platform.machine()


def commit():
    try:
        changed = "" if not call(["git", "status", "--porcelain", "--untracked-files=no"]) else " and changes"
        return call(["git", "rev-parse", "--short", "HEAD"]).strip() + changed
    except Failed:
        return None


def compiler(args):
    """Returns the version of Rust that built our tool, if it was built here."""
    if args.tool or args.no_build:
        return None
    return call(["rustc", "--version"]).strip()


def slug(text):
    """Returns a name for files, without the parts in parentheses."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(.*?\)", "", text).lower()).strip("-")


def machine(args, began, others):
    """Returns the facts about the machine that every record contains."""
    name = args.machine or slug(processor())
    return {
        "date": datetime.date.today().isoformat(),
        "machine": name,
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "os": f"{platform.system()} {platform.machine()}",
        "rustc": compiler(args),
        "commit": began,
        "others_cores": others,
    }
