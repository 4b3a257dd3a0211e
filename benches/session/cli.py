"""The command line: prepare, run, check, report."""

import argparse
import json
import math
import os
import sys
from pathlib import Path

from session import Failed, bundle, check, page, runner, steps


def parser():
    top = argparse.ArgumentParser(
        prog="benches/gpu_session.sh", description="Measures ctc-wgpu on a machine with a GPU."
    )
    commands = top.add_subparsers(dest="command", required=True)

    one = commands.add_parser("prepare", help="build and gather everything that the run needs into one folder")
    one.add_argument("dir", nargs="?", type=Path, default=bundle.DEFAULT, metavar="DIR")
    one.add_argument(
        "--dev", action="store_true", help="development builds: to try the script out, not to measure"
    )
    one.add_argument("--no-loader", action="store_true", help="do not download the Vulkan loader's packages with apt-get")

    one = commands.add_parser("run", help="measure on this machine and write OUT/session.json; OUT must not have one yet")
    one.add_argument("out", type=Path, metavar="OUT")
    one.add_argument("--adapter", metavar="NAME", help="the first adapter whose name contains NAME; default: the best")
    one.add_argument("--bundle", type=Path, metavar="DIR", help="the folder that `prepare` made")
    one.add_argument("--python", default=sys.executable, metavar="PATH", help="the Python that has PyTorch and JAX")
    one.add_argument("--limits", choices=sorted(steps.LIMITS), default="full", help="time limits and shapes")
    one.add_argument("--scale", type=positive, default=1.0, metavar="X", help="multiply every time limit by X")
    one.add_argument("--steps", type=names, metavar="A,B", help="run only these steps: " + ", ".join(steps.NAMES))

    one = commands.add_parser("check", help="report whether a session's record is complete, and what failed in it")
    one.add_argument("json", type=Path, metavar="JSON")
    one.add_argument("--strict", action="store_true", help="exit with 1 if any step did not end well")
    one.add_argument("--require", type=names, default=[], metavar="A,B", help="exit with 1 if one of these steps did not end well")

    one = commands.add_parser("report", help="write the page of a session under benches/results")
    one.add_argument("json", type=Path, metavar="JSON")
    one.add_argument("--readme", action="store_true", help="write the table and the platform into the README too")
    return top


def positive(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def names(text):
    wanted = [name for name in text.split(",") if name]
    for name in wanted:
        if name not in steps.NAMES:
            raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(steps.NAMES)}")
    return wanted


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{path}: {error}") from None


def checked(session, required=()):
    """Prints the findings of `check` and returns the exit status."""
    found = check.check(session)
    print("\n".join(found.lines()))
    return found.exit_status(required)


def main(words=None):
    args = parser().parse_args(words)
    # Windows and the C locale have other encodings.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        if args.command == "prepare":
            return bundle.prepare(args.dir, args.dev, not args.no_loader)
        if args.command == "run":
            session = runner.run(args, command(words))
            status = checked(session)
            print("\n".join(session.get("table", [])))
            return status
        if args.command == "check":
            return checked(read(args.json), steps.NAMES if args.strict else args.require)
        return page.write(read(args.json), args.readme)
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


def command(words):
    """Returns the command as it was typed, without the folders of this machine."""
    typed = [os.path.basename(word) if os.path.isabs(word) else word for word in words or sys.argv[1:]]
    return " ".join(["benches/gpu_session.sh", *typed])
