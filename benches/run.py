#!/usr/bin/env python3
"""Times the CTC losses of ctc-wgpu and of other libraries in one run.

    python3 benches/run.py                      # installs, builds, measures, writes results
    python3 benches/run.py --peers torch,optax --rounds 5
    python3 benches/run.py --no-install         # with this Python's packages, without the network
    python3 benches/run.py --tool ctc-wgpu --no-build --no-install     # on a machine without cargo

All programs run one after the other, in several rounds, every other round in reverse order. The
median over the rounds counts, so that a machine that becomes slower or faster affects all programs
alike. A peer that is not available is reported as absent. On a GPU three figures are compared:
kernels only, steps queued, one step waited for. With --readme the table and the plot are written
into benches/README.md too.
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from statistics import median

import report
from host import HERE, LONGEST_S, ROOT, Failed, Others, call, commit, machine, say

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()

# The packages of each peer, with pip's options. On Linux, pip installs PyTorch with CUDA. FlagGems
# requires an older numpy and exact versions of the three packages that it imports; it works with
# newer ones.
PACKAGES = {
    "torch": ["torch"],
    "torch-cuda": ["torch"],
    "torch-cudnn": ["torch"],
    "flag-gems": ["torch", "packaging pyyaml sqlalchemy", "--no-deps flag_gems"],
    "optax": ["jax[cpu]", "optax"],
    "optax-cuda": ["jax[cuda13]", "optax"],
    "tensorflow": ["tensorflow-cpu"],
    "keras": ["tensorflow-cpu", "keras"],
}
BURN = "burn"

# Peers for CUDA, whose packages are large. They are not installed without an NVIDIA driver.
NVIDIA = ("torch-cuda", "torch-cudnn", "flag-gems", "optax-cuda")

# Peers that PyTorch runs on CUDA. If one runs, the rate of PyTorch's `copy_` is measured too.
TORCH_CUDA = ("torch-cuda", "torch-cudnn", "flag-gems")
COPY = "torch-copy"

# Steps enqueued before one wait, as in the peers' programs.
QUEUED = 20

# Figures of which each is a median over the rounds.
FIGURES = ("median_ms", "wall_ms", "queued_ms", "kernels_ms", "events_ms", "first_plan_ms")

# The largest difference of the sums of a peer's losses and gradients from ours. Rounding of f32
# logarithms and Keras's ε stay below it; another batch or another function does not.
LOSS_TOLERANCE, GRAD_TOLERANCE = 1e-3, 2e-2


def cargo(*words):
    say(f"cargo {' '.join(words)}")
    return call(["cargo", *words])


def install(peers, absent, packages):
    """Returns the Python of a virtual environment with the peers' packages.

    A package that fails to install makes its peers absent.
    """
    venv = TARGET / "peers-venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        call([sys.executable, "-m", "venv", venv])
    tried = {}
    for peer in peers:
        if peer in NVIDIA and not shutil.which("nvidia-smi"):
            absent[peer] = "no NVIDIA driver: nvidia-smi was not found"
            continue
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


def built(args):
    """Returns the path of our tool."""
    tool = args.tool or TARGET / "release" / "ctc-wgpu"
    if not args.tool and not args.no_build:
        cargo("build", "--release", "--bin", "ctc-wgpu")
    if not tool.is_file():
        raise Failed(f"there is no tool at {tool}")
    return tool


def options(args):
    """Returns the options that each peer is started with."""
    shapes = [word for shape in args.shape or [] for word in ("--shape", shape)]
    enough = ["--enough", args.enough] if args.enough else []
    return ["--threads", args.threads, *enough, *shapes]


def programs(args, absent):
    """Returns the command of each program by name: ours first."""
    tool = built(args)
    shapes = [word for shape in args.shape or [] for word in ("--shape", shape)]
    found = {"ctc-wgpu CPU": [tool, "bench", "--json", "--backend", "cpu", "--threads", args.threads, *shapes]}
    for name in args.adapter or [""]:
        chosen = ["--adapter", name] if name else []
        found[f"ctc-wgpu GPU {name}".strip()] = [tool, "bench", "--json", "--backend", "gpu", "--queued", QUEUED, *chosen, *shapes]
    python = sys.executable if args.no_install else install(args.peers, absent, PACKAGES)
    for peer in args.peers:
        if peer == BURN and args.no_build:
            absent[peer] = "it must be built, and --no-build was given"
        elif peer == BURN:
            manifest, target = HERE / "peers/burn/Cargo.toml", TARGET / "peers-burn"
            offline = ["--offline"] if args.no_install else []
            words = ["build", "--release", "--manifest-path", str(manifest), "--target-dir", str(target), *offline]
            try:
                cargo(*words)
                found[peer] = [target / "release/burn-peer", *(args.shape or [])]
            except Failed as failure:
                absent[peer] = str(failure)
        elif peer not in absent:
            found[peer] = [python, HERE / "peers/peers.py", peer, *options(args)]
    if any(peer in found for peer in TORCH_CUDA):
        found[COPY] = [python, HERE / "peers/peers.py", COPY]
    return found


def lines(output):
    """Parses what a program prints: ours a list, the peers one object per line."""
    values = [json.loads(line) for line in output.splitlines() if line.strip()]
    return values[0] if values and isinstance(values[0], list) else values


def measure(found, args, absent):
    """Returns the lines of each program, round by round."""
    measured, rounds = {name: [] for name in found}, args.rounds
    for number in range(rounds):
        for name in list(found) if number % 2 == 0 else list(reversed(found)):
            if name in absent:
                continue
            say(f"round {number + 1} of {rounds}: {name}")
            try:
                seen = lines(call(found[name], args.limit))
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
    """Returns the median over the rounds of one program, by shape.

    One failure counts for all rounds.
    """
    results = {}
    for line in (line for seen in rounds for line in seen):
        results.setdefault(key(line), []).append(line)
    for shape, seen in results.items():
        failed = [line for line in seen if "error" in line]
        if failed:
            results[shape] = failed[0]
            continue
        # A profiler may fail in one round and not in the next: the most frequent kind counts.
        by, _ = Counter(line.get("timed_by") for line in seen).most_common(1)[0]
        seen = [line for line in seen if line.get("timed_by") == by]
        times = [line["median_ms"] for line in seen]
        # The other fields are those of the round that is nearest to the median.
        middle = min(seen, key=lambda line: abs(line["median_ms"] - median(times)))
        # A figure that a program could not measure is missing, or null.
        figures = {name: [line[name] for line in seen if line.get(name) is not None] for name in FIGURES}
        figures = {name: median(values) for name, values in figures.items() if values}
        results[shape] = middle | figures | {"rounds_ms": times}
    return results


def copied(measured):
    """Removes the rounds of PyTorch's `copy_` from `measured` and returns their median, or None."""
    rounds = [line for seen in measured.pop(COPY, []) for line in seen]
    if not rounds:
        return None
    rates = sorted(rounds, key=lambda line: line["copy_gb_per_s"])
    return rates[len(rates) // 2]


def check_results(programs, ours="ctc-wgpu CPU"):
    """Replaces the figures of a peer by an error where its results differ from ours.

    The tool has checked ours against the reference.
    """
    truth = programs[ours]
    for name, results in programs.items():
        for shape, right in truth.items():
            line = results.setdefault(shape, {"error": "the program ended before this shape"})
            if "error" in line or "error" in right:
                continue
            for what, tolerance in (("mean_loss", LOSS_TOLERANCE), ("grad_l1", GRAD_TOLERANCE)):
                if not abs(line[what] - right[what]) <= tolerance * abs(right[what]):
                    line["error"] = f"{what} is {line[what]}, not {right[what]}"


def tool_arguments(parser):
    """Adds the arguments that select our tool."""
    parser.add_argument("--tool", type=executable, metavar="PATH", help="a tool that is already built")
    parser.add_argument("--no-build", action="store_true", help="do not call cargo; without --tool, run the tool in target/release")


def shape(text):
    """Returns the text itself, as the programs accept it."""
    if not re.fullmatch(r"\d+(,\d+){3}", text):
        raise argparse.ArgumentTypeError(f"{text}: T,N,C,L is needed")
    return text


def executable(text):
    # A plain name is looked up as a shell does it.
    return Path(shutil.which(text) or text).resolve()


def parser(description, peers, shapes):
    """Returns the parser of the options that every benchmark beside peers has."""
    parser = argparse.ArgumentParser(
        description=description.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def some(text):
        wanted = [name for name in text.split(",") if name]
        for name in wanted:
            if name not in peers:
                raise argparse.ArgumentTypeError(f"{name}: one of {', '.join(peers)} is needed")
        return wanted

    parser.add_argument("--peers", type=some, default=list(peers), metavar="A,B", help="time only these peers; choices: " + ", ".join(peers))
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often all programs run, in turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="threads of each program on the CPU")
    parser.add_argument("--shape", action="append", type=shape, metavar="T,N,C,L", help=f"time this shape instead of the {shapes}; may be repeated")
    parser.add_argument("--machine", metavar="NAME", help="name in the result files; default: the processor's")
    parser.add_argument("--enough", type=float, metavar="SECONDS", help="how long a peer measures a shape, about")
    parser.add_argument("--limit", type=float, default=LONGEST_S, metavar="SECONDS", help="ends a program after this time")
    parser.add_argument("--adapter", action="append", metavar="NAME", help="time ctc-wgpu on this GPU adapter; may be repeated; default: the best one")
    tool_arguments(parser)
    parser.add_argument("--no-install", action="store_true", help="run the peers on this Python, and build offline")
    parser.add_argument("--readme", action="store_true", help="write the table and the plot into benches/README.md")
    return parser


def checked(parser):
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    if not (args.limit > 0 and (args.enough is None or args.enough > 0)):
        parser.error("--enough and --limit must be above 0")
    return args


def main():
    args, absent = checked(parser(__doc__, [*PACKAGES, BURN], "seven")), {}
    began = commit()
    found = programs(args, absent)
    others = Others()
    measured = measure(found, args, absent)
    copy = copied(measured)
    by_program = {name: merged(seen) for name, seen in measured.items()}
    busy = others.cores()
    if "ctc-wgpu CPU" not in by_program:
        sys.exit(f"ctc-wgpu itself did not run: {absent.get('ctc-wgpu CPU')}")
    check_results(by_program)
    results = {
        **machine(args, began, busy),
        "python": platform.python_version(),
        "command": shlex.join(["python3", "benches/run.py", *sys.argv[1:]]),
        "rounds": args.rounds,
        "copy": copy,
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
