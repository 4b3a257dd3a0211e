#!/usr/bin/env python3
"""Times ctc-wgpu and other libraries' CTC losses on this machine, in turn, in one run.

    python3 benches/run.py                      # installs the peers, builds, measures, writes benches/results
    python3 benches/run.py --peers torch,optax --rounds 5
    python3 benches/run.py --no-install         # with what this Python has already, and without the network

All programs run one after the other, and that several times over, every other round backwards; what is kept is the median
over the rounds, so that a machine that grows slower or faster meanwhile does so for all. A peer that cannot be had is
reported as absent. With --readme the table and the plot go into the README too.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import median

import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()

# What pip installs for each peer, with its options. PyTorch with CUDA is what pip gives on Linux.
PACKAGES = {
    "torch": ["torch"],
    "torch-cuda": ["torch"],
    "torch-cudnn": ["torch"],
    "optax": ["jax[cpu]", "optax"],
    "tensorflow": ["tensorflow-cpu"],
    "keras": ["tensorflow-cpu", "keras"],
}
BURN = "burn"

# A program that hangs must not hold up the rest for ever.
LONGEST_S = 3600

# How far the sums of a peer's losses and gradients may lie from ours: f32 in logarithms, and Keras's ε, stay below this,
# another batch or another function does not.
LOSS_TOLERANCE, GRAD_TOLERANCE = 1e-3, 2e-2


class Failed(Exception):
    """A command that did not do what it should: its first error, or the last line that it said."""


def call(command, **options):
    """What a command prints. What goes wrong is said in one line."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=LONGEST_S, cwd=ROOT, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower()]
        reason = (errors[:1] or said[-1:] or [f"exit status {done.returncode}"])[0]
        # A program may fail at one shape only, and have printed the figures of others.
        if not done.stdout.strip():
            raise Failed(reason)
        say(f"  {reason}")
    return done.stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


def cargo(*words):
    say(f"cargo {' '.join(words)}")
    return call(["cargo", *words])


def install(peers, absent, packages):
    """A virtual environment with what the peers need; a package that cannot be had makes its peers absent."""
    venv = TARGET / "peers-venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        call([sys.executable, "-m", "venv", venv])
    tried = {}
    for peer in peers:
        for package in ["numpy", *packages.get(peer, [])]:
            if package not in tried:
                say(f"pip install {package}")
                try:
                    call([python, "-m", "pip", "install", "--quiet", *package.split()])
                    tried[package] = None
                except Failed as failure:
                    tried[package] = f"pip install {package}: {failure}"
            if tried[package]:
                absent.setdefault(peer, tried[package])
    return python


def built():
    """Our tool."""
    cargo("build", "--release", "--features", "cli", "--bin", "ctc-wgpu")
    return TARGET / "release" / "ctc-wgpu"


def programs(args, absent):
    """The command of each program by name: ours first."""
    tool = built()
    shapes = [word for shape in args.shape or [] for word in ("--shape", shape)]
    found = {"ctc-wgpu CPU": [tool, "bench", "--json", "--backend", "cpu", "--threads", args.threads, *shapes]}
    for name in args.adapter or [""]:
        chosen = ["--adapter", name] if name else []
        found[f"ctc-wgpu GPU {name}".strip()] = [tool, "bench", "--json", "--backend", "gpu", *chosen, *shapes]
    python = sys.executable if args.no_install else install(args.peers, absent, PACKAGES)
    for peer in args.peers:
        if peer == BURN:
            manifest, target = HERE / "peers/burn/Cargo.toml", TARGET / "peers-burn"
            offline = ["--offline"] if args.no_install else []
            words = ["build", "--release", "--manifest-path", str(manifest), "--target-dir", str(target), *offline]
            try:
                cargo(*words)
                found[peer] = [target / "release/burn-peer", *(args.shape or [])]
            except Failed as failure:
                absent[peer] = str(failure)
        elif peer not in absent:
            found[peer] = [python, HERE / "peers/peers.py", peer, "--threads", args.threads, *shapes]
    return found


def lines(output):
    """Ours prints a list, the peers an object a line."""
    values = [json.loads(line) for line in output.splitlines() if line.strip()]
    return values[0] if values and isinstance(values[0], list) else values


def measure(found, rounds, absent):
    """For each program its lines, round by round."""
    measured = {name: [] for name in found}
    for number in range(rounds):
        for name in list(found) if number % 2 == 0 else list(reversed(found)):
            if name in absent:
                continue
            say(f"round {number + 1} of {rounds}: {name}")
            try:
                seen = lines(call(found[name]))
            except (Failed, ValueError) as failure:
                absent[name] = str(failure)
                continue
            gone = [line["absent"] for line in seen if "absent" in line]
            if gone:
                absent[name] = gone[0]
            else:
                measured[name].append(seen)
    return {name: seen for name, seen in measured.items() if name not in absent}


def merged(rounds, key=lambda line: report.key(line["shape"])):
    """The rounds of one program as one: by shape, the median over rounds. One failure counts for all rounds."""
    results = {}
    for line in (line for seen in rounds for line in seen):
        results.setdefault(key(line), []).append(line)
    for shape, seen in results.items():
        failed = [line for line in seen if "error" in line]
        if failed:
            results[shape] = failed[0]
            continue
        times = [line["median_ms"] for line in seen]
        # The other figures of the round that is nearest to the median.
        middle = min(seen, key=lambda line: abs(line["median_ms"] - median(times)))
        results[shape] = middle | {"median_ms": median(times), "rounds_ms": times}
    return results


def judge(programs, ours="ctc-wgpu CPU"):
    """No figure for a wrong answer: ours was checked by the tool, and the peers must agree with it."""
    truth = programs[ours]
    for name, results in programs.items():
        for shape, right in truth.items():
            line = results.setdefault(shape, {"error": "the program ended before it came to this"})
            if "error" in line or "error" in right:
                continue
            for what, tolerance in (("mean_loss", LOSS_TOLERANCE), ("grad_l1", GRAD_TOLERANCE)):
                if not abs(line[what] - right[what]) <= tolerance * abs(right[what]):
                    line["error"] = f"{what} is {line[what]}, not {right[what]}"


class Others:
    """How many cores programs that are not ours keep busy, where the system tells (Linux)."""

    def __init__(self):
        self.since = self.now()

    @staticmethod
    def now():
        try:
            # The time of all processes: user, nice, system, then idle and waiting, then interrupts and stolen.
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
    """The processor's name, where the system tells."""
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


def machine(args, began, others):
    """What a result is worth nothing without."""
    name = args.machine or re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(.*?\)", "", processor()).lower()).strip("-")
    return {
        "date": datetime.date.today().isoformat(),
        "machine": name,
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "os": f"{platform.system()} {platform.machine()}",
        "rustc": call(["rustc", "--version"]).strip(),
        "commit": began,
        "others_cores": others,
    }


def parser(description, peers, shapes):
    """What every benchmark beside peers is asked."""
    parser = argparse.ArgumentParser(
        description=description.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def some(text):
        wanted = [name for name in text.split(",") if name]
        for name in wanted:
            if name not in peers:
                raise argparse.ArgumentTypeError(f"{name}: one of {', '.join(peers)} is needed")
        return wanted

    parser.add_argument("--peers", type=some, default=list(peers), metavar="A,B", help="of " + ", ".join(peers))
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of every CPU program")
    parser.add_argument("--shape", action="append", metavar="T,N,C,L", help=f"instead of the {shapes}; may be repeated")
    parser.add_argument("--machine", metavar="NAME", help="of the results' files; the processor's name if not given")
    parser.add_argument("--no-install", action="store_true", help="run the peers on this Python, and build offline")
    parser.add_argument("--readme", action="store_true", help="put what is found into the README")
    return parser


def checked(parser):
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return args


def arguments():
    own = parser(__doc__, [*PACKAGES, BURN], "seven")
    own.add_argument("--adapter", action="append", metavar="NAME", help="GPU adapters of ours; the best one if none")
    return checked(own)


def main():
    args, absent = arguments(), {}
    began = commit()
    found = programs(args, absent)
    others = Others()
    by_program = {name: merged(seen) for name, seen in measure(found, args.rounds, absent).items()}
    busy = others.cores()
    if "ctc-wgpu CPU" not in by_program:
        sys.exit(f"ctc-wgpu itself did not run: {absent.get('ctc-wgpu CPU')}")
    judge(by_program)
    results = {
        **machine(args, began, busy),
        "python": platform.python_version(),
        "command": shlex.join(["python3", "benches/run.py", *sys.argv[1:]]),
        "rounds": args.rounds,
        "programs": by_program,
        "absent": absent,
    }
    path = HERE / "results" / f"{results['date']}-{results['machine']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    report.write(path, args.readme)
    say(f"written: {path.relative_to(ROOT)}, and .md and .svg beside it")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"error: {failure}")
