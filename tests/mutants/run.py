#!/usr/bin/env python3
"""Changes one operator or constant at a time and sees whether the tests notice.

    python3 tests/mutants/run.py                  all of mutants.json; writes tests/mutants/results.md
    python3 tests/mutants/run.py --quick          the same without the tests that take minutes; writes nothing
    python3 tests/mutants/run.py --only chain     those whose file or description has that word; writes nothing
    python3 tests/mutants/run.py --sample 3       as many, spread over the list; writes nothing

What was killed is kept in killed.json, so a run that was cut off goes on; --again forgets it first. results.md tells what has not
been run yet.

The tree is copied below the target folder and built there once. A mutant of a shader needs no compiler: the tests'
programs carry the text of every shader, and it is changed in a copy of them, its length kept by cutting the comment
at its head or by spaces at its end. A mutant of the twin is built. Then the tests run, the likeliest first, until one fails.
A run that passes its time is killed with all its children, and counts: a loop without an end is noticed too.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
SCRATCH = TARGET / "mutants"
MUTANTS = HERE / "mutants.json"
SURVIVORS = HERE / "survivors.json"
KILLED = HERE / "killed.json"
# Seconds for one test program. Whole ones take a tenth of that alone on two cores.
PATIENCE = 600

# What runs, in order: a test program and the tests' names in it. The first of each list find most mutants in seconds.
SHADER_TESTS = [
    ("gpu", ["conformance::", "variants::a_gradient_in_place", "variants::logits_and_gradients_of_f16", "zero_copy::"]),
    ("gpu", ["rounds::", "variants::", "hostile::", "properties::", "buffer_errors::"]),
    ("lib", []),
]
# What alignment and reading are made of.
DECODE_SHADERS = ("decode/", "best.wgsl", "fold_pair.wgsl", "nats.wgsl", "pair.wgsl")
DECODE_TESTS = [("gpu", ["decode::"])]
# Minutes on a software adapter: windows, pages and groups that only large batches have.
LONG_SHADER_TESTS = [("gpu", ["limits::", "host_path::"])]
# Without the check of this list, which would fail for each mutant because its text is no longer there.
TWIN_TESTS = [("host", ["twin::"]), ("lib", []), ("host", ["--skip", "mutants::"])]


def build(tree, *tests):
    """Compiles tests of `tree`; the programs by name, or None where it does not compile."""
    command = ["cargo", "test", "--no-run", "--all-features", "--message-format", "json"]
    for test in tests:
        command += ["--lib"] if test == "lib" else ["--test", test]
    env = dict(os.environ, CARGO_TARGET_DIR=str(SCRATCH / "target"), CARGO_PROFILE_DEV_DEBUG="0")
    done = subprocess.run(command, cwd=tree.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            kind = message["target"]["kind"][0]
            found["lib" if kind == "lib" else message["target"]["name"]] = pathlib.Path(message["executable"])
    return found, ""


class Tree:
    """A copy of the sources, of which one file may be changed."""

    def __init__(self):
        self.path = SCRATCH / "tree"
        self.path.mkdir(parents=True, exist_ok=True)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE,
        ).stdout.decode().split("\0")
        wanted = {name for name in files if name and (ROOT / name).is_file()}
        for name in wanted:
            source, copy = ROOT / name, self.path / name
            # What is the same stays as it is, and so does what was compiled from it.
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
        for copy in self.path.rglob("*"):
            if copy.is_file() and str(copy.relative_to(self.path)) not in wanted:
                copy.unlink()


def changed(mutant):
    text = (ROOT / mutant["file"]).read_text()
    if text.count(mutant["before"]) != 1:
        sys.exit(f"{mutant['file']}: {mutant['before']!r} does not occur exactly once")
    return text, text.replace(mutant["before"], mutant["after"])


def patched(program, before, after, copy):
    """A copy of a program, with a shader's text changed wherever it carries that."""
    before, after = before.encode(), after.encode()
    while len(after) > len(before):
        # The head of every shader is a comment.
        line_end = after.index(b"\n")
        if line_end <= 2 or not after.startswith(b"//"):
            raise ValueError("the comment at its head is too short")
        after = after[:2] + after[2 + min(line_end - 2, len(after) - len(before)):]
    after += b" " * (len(before) - len(after))
    binary = program.read_bytes()
    if before not in binary:
        return None
    copy.unlink(missing_ok=True)
    copy.write_bytes(binary.replace(before, after))
    copy.chmod(0o755)
    return copy


def run(program, names, directory):
    """None where all tests pass; else the first that failed, or what else ended it."""
    command = [str(program), *names, "--test-threads", "2"]
    said = SCRATCH / "said"
    started = time.monotonic()
    with said.open("w") as out:
        process = subprocess.Popen(
            command, cwd=directory, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, RUST_BACKTRACE="0"),
        )
    while process.poll() is None:
        failed = failed_test(said.read_text(errors="replace"))
        if failed or time.monotonic() - started > PATIENCE:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return failed or "time"
        time.sleep(0.05)
    out = said.read_text(errors="replace")
    if process.returncode == 0:
        if "running 0 tests" in out:
            sys.exit(f"no test is called {names}")
        return None
    return failed_test(out) or f"exit status {process.returncode}"


def failed_test(out):
    for line in out.splitlines():
        if line.startswith("test ") and line.endswith("FAILED"):
            return line.split()[1]
    return None


def judge(mutant, tree, programs, quick):
    before, after = changed(mutant)
    if mutant["file"].endswith(".wgsl"):
        return judge_shader(mutant, before, after, tree, programs, quick)
    place = tree.path / mutant["file"]
    place.write_text(after)
    try:
        for name, filters in TWIN_TESTS:
            programs, refused = build(tree, name)
            if programs is None:
                sys.exit(f"{mutant['file']}: {mutant['after']!r} does not compile:\n{refused}")
            failed = run(programs[name], filters, tree.path)
            if failed:
                return failed
        return None
    finally:
        place.write_text(before)


def judge_shader(mutant, before, after, tree, programs, quick):
    copies = {}
    for name, program in programs.items():
        copy = patched(program, before, after, SCRATCH / f"{name}-mutant")
        if copy is None:
            sys.exit(f"{mutant['file']} is not in the program of the tests `{name}`")
        copies[name] = copy
    decodes = any(part in mutant["file"] for part in DECODE_SHADERS)
    tests = DECODE_TESTS + SHADER_TESTS if decodes else SHADER_TESTS + DECODE_TESTS
    for name, filters in tests + ([] if quick else LONG_SHADER_TESTS):
        failed = run(copies[name], filters, tree.path)
        if failed:
            return failed
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="mutants whose file or description has this word")
    parser.add_argument("--sample", type=int, help="this many mutants, spread over the list")
    parser.add_argument("--again", action="store_true", help="all of them, also those that are known to be killed")
    parser.add_argument("--quick", action="store_true", help="without the tests that take minutes")
    args = parser.parse_args()
    everything = mutants = json.loads(MUTANTS.read_text())
    if args.only:
        mutants = [m for m in mutants if args.only in m["file"] or args.only in m["what"]]
    if args.sample:
        mutants = [mutants[i * len(mutants) // args.sample] for i in range(args.sample)]
    tree = Tree()
    programs = {}
    if any(m["file"].endswith(".wgsl") for m in mutants):
        found, refused = build(tree, "gpu", "lib")
        if found is None:
            sys.exit(refused)
        # Their places are the mutants' of the twin later.
        for name, path in found.items():
            programs[name] = pathlib.Path(shutil.copy(path, SCRATCH / f"{name}-unchanged"))
    reasons = {key(s): s["why"] for s in json.loads(SURVIVORS.read_text())}
    known = json.loads(KILLED.read_text()) if KILLED.exists() and not args.again else []
    killers = {key(k): k["by"] for k in known}
    survived = set()
    try:
        for mutant in sorted(mutants, key=lambda m: not m["file"].endswith(".wgsl")):
            started = time.monotonic()
            if key(mutant) not in killers or args.sample:
                killer = judge(mutant, tree, programs, args.quick)
                if killer:
                    killers[key(mutant)] = killer
                else:
                    survived.add(key(mutant))
            seconds = time.monotonic() - started
            result = killers.get(key(mutant), "SURVIVED")
            print(f"{seconds:6.1f} s  {mutant['file']}: {mutant['what']}: {result}", flush=True)
    finally:
        if not (args.only or args.sample or args.quick):
            write(everything, killers, survived, reasons)
    unknown = len(survived - reasons.keys())
    print(f"{len(mutants)} mutants, {unknown} survived without a reason")
    return 1 if unknown else 0


def key(mutant):
    return json.dumps([mutant["file"], mutant["before"], mutant["after"]])


def write(mutants, killers, survived, reasons):
    """killed.json, to go on from, and results.md, to read."""
    killed = [m for m in mutants if key(m) in killers]
    entries = [{**{side: m[side] for side in ("file", "before", "after")}, "by": killers[key(m)]} for m in killed]
    KILLED.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    alive = [m for m in mutants if key(m) not in killers and (key(m) in survived or key(m) in reasons)]
    lines = [
        "# Mutants", "",
        f"{len(mutants)} mutants: {len(killed)} killed, {len(alive)} survived, {len(mutants) - len(killed) - len(alive)} not run yet; "
        f"{datetime.date.today().isoformat()}, by `python3 tests/mutants/run.py`.", "",
        "| file | what is wrong | change | killed by |", "| --- | --- | --- | --- |",
    ]
    for m in mutants:
        if m in killed:
            result = f"`{killers[key(m)]}`"
        elif m in alive:
            result = "**survives**: " + reasons.get(key(m), "nobody has said why")
        else:
            result = "not run yet"
        change = " → ".join("`" + " ".join(m[side].split()).replace("|", "\\|") + "`" for side in ("before", "after"))
        lines.append(f"| `{m['file']}` | {m['what']} | {change} | {result} |")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
