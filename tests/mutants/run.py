#!/usr/bin/env python3
"""Injects one fault at a time and checks that a test fails.

    python3 tests/mutants/run.py                all mutants; writes killed.json and results.md
    python3 tests/mutants/run.py --only chain   those with this text in file, id or description
    python3 tests/mutants/run.py --sample 3     only this many, spread over the list
    python3 tests/mutants/run.py --quick        without the tests that take minutes
    python3 tests/mutants/run.py --refresh      runs nothing; updates mutants.json and results.md

`--only`, `--sample` and `--quick` write nothing.

To add a mutant, append an entry with `what`, `file`, `before` and `after` to mutants.json, where
`before` occurs once in the file, and run `--refresh`. It adds an id and the site, which records
where the mutation is, independent of names (see sites.py). After a rename or a rewrite of comments,
`--refresh` updates `file`, `before` and `after` from the site. If the code itself has changed, it
prints the mutants whose sites are lost: correct their `file`, `before` and `after` and delete their
sites. A mutant that injects another fault than before needs another id.

A run that was interrupted continues where it stopped. Mutants that are killed, or that survive for
a known reason, are not run again without `--again`. A new survivor is added to survivors.json
without a reason, and the tests fail until it has one.

The tree is copied below the target folder and built there once. A mutant of a shader needs no
compiler: the test programs contain the text of every shader, and it is changed in copies of the
programs. The length stays the same: the comment at the head of the shader is shortened, or spaces
are appended. A mutant of the CPU backend is built. Then the tests run until one fails, the
likeliest first. A test program that exceeds its time limit is killed with all its children, and the
mutant counts as killed, because an endless loop is a fault too.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import lists
from sites import ROOT, SiteError

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
SCRATCH = TARGET / "mutants"
# Seconds that one test program may take. Two cores need up to a third of it.
PATIENCE = 1800

# Runs every form of the sweeps within half a minute.
SHORT_SHADER_TEST = ("gpu", ["variants::every_variant_counts_the_same_occupancies_as_0"])
# What runs next, in order: a test program and the names of tests in it. The first of each list kill
# most mutants within seconds.
SHADER_TESTS = [
    (
        "gpu",
        [
            "conformance::",
            "variants::a_gradient_in_place",
            "variants::logits_and_gradients_of_f16",
            "zero_copy::",
        ],
    ),
    (
        "gpu",
        [
            "row_gradient::",
            "malformed::",
            "properties::",
            "buffer_errors::",
            "decode::",
        ],
    ),
    ("gpu", ["variants::"]),
    ("lib", []),
    ("gpu", ["loop_iterations::"]),
]
# Fails if the WGSL of a mutant does not compile. Every test would fail then, and prove nothing.
VALIDITY_TEST = ("lib", ["kernels::tests::each_kernel_is_valid_and_has_one_entry_point_of_its_name"])
# These take minutes on a software adapter, because they need large batches.
LONG_SHADER_TESTS = [("gpu", ["limits::", "host_path::"])]
CPU_TESTS = [("host", ["cpu_backend::"]), ("lib", []), ("host", [])]


def build(tree, *tests):
    """Compiles tests of `tree`. Returns the programs by name, or None and the compiler's errors."""
    command = ["cargo", "test", "--no-run", "--package", "ctc-wgpu", "--all-features", "--message-format", "json"]
    for test in tests:
        command += ["--lib"] if test == "lib" else ["--test", test]
    env = dict(os.environ, CARGO_TARGET_DIR=str(SCRATCH / "target"), CARGO_PROFILE_DEV_DEBUG="0")
    done = subprocess.run(command, cwd=tree.path, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            target = message["target"]
            name = "lib" if target["kind"][0] == "lib" else target["name"]
            found[name] = pathlib.Path(message["executable"])
    return found, ""


class Tree:
    """A copy of the sources, in which one file at a time is changed."""

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
            # A file that is the same keeps its time, so that cargo does not compile it again.
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
        for copy in self.path.rglob("*"):
            if copy.is_file() and str(copy.relative_to(self.path)) not in wanted:
                copy.unlink()


def patched(program, before, after, copy):
    """A copy of a program in which a shader's text is replaced wherever it occurs."""
    before, after = before.encode(), after.encode()
    while len(after) > len(before):
        # The first lines of every shader are a comment.
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
    """Returns None if all tests pass; else the first that failed or what else ended the program."""
    command = [str(program), *names, "--test-threads", "2"]
    printed = SCRATCH / "output"
    started = time.monotonic()
    with printed.open("w") as out:
        process = subprocess.Popen(
            command, cwd=directory, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, RUST_BACKTRACE="0"),
        )
    while process.poll() is None:
        failed = failed_test(printed.read_text(errors="replace"))
        if failed or time.monotonic() - started > PATIENCE:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return failed or "time"
        time.sleep(0.05)
    out = printed.read_text(errors="replace")
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


def judge(mutant, place, tree, programs, quick):
    """Returns the test that kills a mutant, or None if it survives."""
    if place.source.suffix == ".wgsl":
        return judge_shader(mutant, place, tree, programs, quick)
    path = tree.path / place.source.name
    path.write_text(place.mutated)
    try:
        for name, filters in CPU_TESTS:
            programs, errors = build(tree, name)
            if programs is None:
                sys.exit(f"{mutant['id']} does not compile:\n{errors}")
            failed = run(programs[name], filters, tree.path)
            if failed:
                return failed
        return None
    finally:
        path.write_text(place.source.text)


def judge_shader(mutant, place, tree, programs, quick):
    copies = {}
    for name, program in programs.items():
        copy = patched(program, place.source.text, place.mutated, SCRATCH / f"{name}-mutant")
        if copy is None:
            sys.exit(f"{place.source.name} is not in the test program `{name}`")
        copies[name] = copy
    name, filters = VALIDITY_TEST
    if run(copies[name], filters, tree.path):
        sys.exit(f"{mutant['id']} does not compile: it fails {filters[0]}")
    # Some mutants are visible only to a few tests, which go first.
    likeliest = [("gpu", [mutant["first"]])] if "first" in mutant else []
    tests = [SHORT_SHADER_TEST, *likeliest, *SHADER_TESTS, *([] if quick else LONG_SHADER_TESTS)]
    for name, filters in tests:
        failed = run(copies[name], filters, tree.path)
        if failed:
            return failed
    return None


def refresh():
    """Updates mutants.json and results.md, and prints the mutants whose sites are lost."""
    sides = lists.sides()
    mutants, lost = [], 0
    for mutant in lists.read(lists.MUTANTS):
        try:
            mutants.append(lists.refreshed(mutant, sides))
        except SiteError as error:
            mutants.append(mutant)
            lost += 1
            print(f"{mutant.get('id') or mutant['what']}: {error}")
    lists.write_mutants(mutants)
    if not lost:
        write_report()
    return 1 if lost else 0


def write_report():
    known = [lists.read(path) for path in (lists.MUTANTS, lists.KILLED, lists.SURVIVORS)]
    lists.RESULTS.write_text(lists.report(*known))


def selected(mutants, only, sample):
    if only:
        mutants = [m for m in mutants if any(only in m[field] for field in ("file", "id", "what"))]
    if sample:
        mutants = [mutants[i * len(mutants) // sample] for i in range(sample)]
    # Those of shaders share one build, which those of the CPU backend overwrite.
    return sorted(mutants, key=lambda mutant: not mutant["file"].endswith(".wgsl"))


def shader_programs(tree):
    found, errors = build(tree, "gpu", "lib")
    if found is None:
        sys.exit(errors)
    return {
        name: pathlib.Path(shutil.copy(path, SCRATCH / f"{name}-unchanged"))
        for name, path in found.items()
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="mutants with this text in their file, id or description")
    parser.add_argument("--sample", type=int, help="this many mutants, spread over the list")
    parser.add_argument("--again", action="store_true", help="also those whose result is known")
    parser.add_argument("--quick", action="store_true", help="without the tests that take minutes")
    parser.add_argument("--refresh", action="store_true", help="update the lists and run nothing")
    args = parser.parse_args()
    if args.refresh:
        return refresh()
    everything = lists.read(lists.MUTANTS)
    mutants = selected(everything, args.only, args.sample)
    sides = lists.sides()
    try:
        places = {mutant["id"]: lists.place(mutant, sides) for mutant in mutants}
    except SiteError as error:
        sys.exit(f"{error}\n--refresh prints every mutant whose site is lost")
    killed = {} if args.again or not lists.KILLED.exists() else lists.read(lists.KILLED)
    survivors = lists.read(lists.SURVIVORS)
    explained = {id for id, why in survivors.items() if why}
    survived = set()
    tree = Tree()
    programs = shader_programs(tree) if mutants and mutants[0]["file"].endswith(".wgsl") else {}

    def save():
        if args.only or args.sample or args.quick:
            return
        in_order = [mutant["id"] for mutant in everything]
        lists.write(lists.KILLED, {id: killed[id] for id in in_order if id in killed})
        new = {id: "" for id in in_order if id in survived - explained}
        kept = {id: why for id, why in (survivors | new).items() if why or id not in killed}
        lists.write(lists.SURVIVORS, kept)
        write_report()

    for mutant in mutants:
        id = mutant["id"]
        started = time.monotonic()
        if args.again or args.sample or id not in killed.keys() | explained:
            killer = judge(mutant, places[id], tree, programs, args.quick)
            killed.pop(id, None)
            if killer:
                killed[id] = killer
            else:
                survived.add(id)
            save()
        seconds = time.monotonic() - started
        result = killed.get(id) or ("SURVIVED" if id in survived else "survives, as known")
        print(f"{seconds:6.1f} s  {mutant['file']}: {mutant['what']}: {result}", flush=True)
    surprises = len(survived - explained)
    print(f"{len(mutants)} mutants, {surprises} survived without a known reason")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
