"""Replaces `ctc-wgpu` and the test binary. The variable FAKE selects its behaviour.

    crash    `bench` dies at the second shape
    paths    `bench` fails with messages that contain folders of the user
    hang     `validate` never ends
    none     there is no adapter
    wrong    one of the tests fails
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from session.tests import sample  # noqa: E402

FAKE = os.environ.get("FAKE", "")


def adapters(_words):
    found = [] if FAKE == "none" else [sample.ADAPTER]
    print(json.dumps({"adapters": found}))


def validate(words):
    if FAKE == "hang":
        time.sleep(60)
    Path(words[words.index("--report") + 1]).write_text(json.dumps(sample.suite() | {"size": "quick"}))


def bench(words):
    if "--decode" in words:
        print(json.dumps([{"shape": [1, 1, 1, 1], "task": "align", "median_ms": 1.0}]))
        return
    if FAKE == "paths":
        # The working directory, which contains the bundle and OUT.
        here = Path.cwd()
        folders = [here / "bundle", here / "out", here, Path.home(), "/home/builder/.cargo"]
        sys.exit("\n".join(f"panicked at {folder}/a.rs" for folder in folders))
    shape = [int(number) for number in words[words.index("--shape") + 1].split(",")]
    if FAKE == "crash" and shape[0] == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps([sample.our_line(shape, 1.0)]))


def check(_words):
    print(json.dumps({"passed": True}))


def tests(words):
    if "--list" in words:
        print("" if "--ignored" in words else "loop_iterations::a: test\nloop_iterations::b: test\nslow::c: test\n")
    elif FAKE == "wrong" and "loop_iterations::b" in words:
        sys.exit("loop_iterations::b does not hold")
    else:
        print("test result: ok")


if __name__ == "__main__":
    commands = {"adapters": adapters, "validate": validate, "bench": bench, "check": check}
    commands.get(sys.argv[1], tests)(sys.argv[1:])
