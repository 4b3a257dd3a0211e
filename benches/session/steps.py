"""The steps of a session, in their order: correctness first, then times, then everything else."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

from session import figures, machine
from session.process import call

# Batches of many items, as in training, which are larger than the cache.
LARGE = [(500, 64, 5000, 100), (1500, 64, 32, 300)]

# Seconds of each step. `tiny` only shows that the script works; its figures mean nothing.
LIMITS = {
    "full": {
        "machine": 15,
        "validate": 90,
        "times": 75,
        "torch": 120,
        "optax": 60,
        "again": 60,
        "tests": 120,
        "more": 40,
        "table": 10,
        "all": 540,
    },
    "tiny": {
        "machine": 15,
        "validate": 1,
        "times": 10,
        "torch": 5,
        "optax": 5,
        "again": 10,
        "tests": 10,
        "more": 10,
        "table": 5,
        "all": 80,
    },
}
TINY_SHAPES, TINY_LARGE = [(6, 2, 5, 3), (20, 2, 8, 4)], [(12, 8, 6, 3)]
# The tests of a tiny run.
TINY_TESTS = "loop_iterations::"

# Seconds for which a peer measures one shape.
ENOUGH_S = {"full": 3, "tiny": 0.2}

# Steps of a training loop that are queued before one wait.
QUEUED = 20

OCR = "tests/data/ocr/keras_ocr_trained.npz"


@dataclass
class Step:
    name: str
    title: str
    run: Callable


def text(shape):
    return ",".join(map(str, shape))


def values(out):
    """Returns the JSON values that a program printed: one value, or one per complete line."""
    try:
        value = json.loads(out)
        return value if isinstance(value, list) else [value]
    except ValueError:
        pass
    found = []
    for line in out.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        found += value if isinstance(value, list) else [value]
    return [value for value in found if isinstance(value, dict)]


def look(session):
    """Records the machine, its GPU and the way to its driver."""
    data = session.record.data
    data["machine"] = machine.facts()
    data["smi"] = machine.smi()
    adapter, env, tried = machine.choose(
        session.tool, session.env, session.root / "loader", session.scratch, session.args.adapter
    )
    session.entry["tried"] = tried
    data["adapter"] = adapter
    if not adapter:
        wanted = session.args.adapter
        named = f" whose name contains {wanted}" if wanted else ""
        raise session.Stop(f"no adapter{named}: install the GPU's Vulkan driver and loader; see `tried` in the record")
    data["kind"] = "rehearsal" if adapter["type"] == "software" else "session"
    # Only the API of the chosen adapter: a GPU that GL reaches too would be tested twice.
    session.env = {**env, "WGPU_BACKEND": adapter["backend"], "WGPU_ADAPTER_NAME": adapter["name"]}
    session.note(f"{adapter['name']}, {adapter['backend']}, {adapter['driver']} {adapter['driver_info']}".strip())


def validate(session):
    """Runs the conformance suite through every variant of the kernels."""
    report = session.out / "validate.json"
    report.unlink(missing_ok=True)
    words = ["validate", "--quick", "--adapter", session.adapter, "--report", report]
    part = session.part("suite", [session.tool, *words], cache="tests")
    if report.exists():
        part["data"] = [digest(json.loads(report.read_text(encoding="utf-8")))]
    elif part["status"] == "ok":
        session.fail(part, "it wrote no report")


def digest(report):
    """Returns a report of `validate` without the families of each variant."""
    adapters = [
        {
            **{key: one.get(key) for key in ("name", "backend", "driver", "passed", "reason", "numerics")},
            "variants": [
                {
                    **{k: row.get(k) for k in ("variant", "cases", "worst_grad", "worst_loss", "same_bits", "result")},
                    "failures": row.get("failures", [])[:5],
                }
                for row in one.get("variants", [])
            ],
        }
        for one in report["adapters"]
    ]
    cases = sum(row["cases"] or 0 for one in adapters for row in one["variants"])
    return {"passed": report["passed"], "extent": report["size"], "cases": cases, "adapters": adapters}


def bench(session, shape, *flags, name=None):
    """Times a shape in a process of its own.

    So a timeout or a lost device affects that shape only, and compilation is timed without a cache.
    """
    words = ["bench", "--adapter", session.adapter, "--json", *flags, "--shape", text(shape)]
    session.part(name or text(shape), [session.tool, *words], cache="timed", wanted=True)


def times(session):
    """Times each shape of ours by stage, with steps queued, and to the first plan."""
    for shape in session.shapes:
        bench(session, shape, "--stages", "--queued", QUEUED)


def again(session):
    """Times ours in the reverse order, for the spread, then batches of many items."""
    for shape in reversed(session.shapes):
        bench(session, shape, "--queued", QUEUED)
    for shape in session.large:
        bench(session, shape, "--stages", "--queued", QUEUED)


def peer(session, name, share):
    """Times another library for at most this share of the step's remaining time.

    Returns whether the library was available.
    """
    script = session.root / "benches/peers/peers.py"
    shapes = [] if name == figures.COPY else [word for shape in session.shapes for word in ("--shape", text(shape))]
    command = [session.args.python, script, name, "--enough", session.enough_s, *shapes]
    part = session.part(name, command, limit_s=session.clock.left() * share, env=session.peer_env, wanted=True)
    return part["status"] != "absent"


def torch(session):
    """Times PyTorch: its copy rate, its own kernels, cuDNN's and Triton's, or else the CPU's."""
    shares = {figures.COPY: 0.25, "torch-cuda": 0.6, "torch-cudnn": 0.7, "flag-gems": 1.0}
    if not any([peer(session, name, share) for name, share in shares.items()]):
        peer(session, "torch", 1.0)


def optax(session):
    if not peer(session, "optax-cuda", 1.0):
        peer(session, "optax", 1.0)


def tests(session):
    """Runs the GPU tests, one process per test, so that a crash or a hang affects one test only."""
    env = {**session.caches("tests"), "CARGO_MANIFEST_DIR": str(session.root)}
    listed = call([session.tests, "--list", "--format", "terse"], session.clock.left(), env=env, log=session.record.log)
    ignored = call([session.tests, "--list", "--format", "terse", "--ignored"], session.clock.left(), env=env)
    left_out = set(test_names(ignored.out))
    all_tests = [name for name in test_names(listed.out) if name not in left_out]
    if session.args.limits == "tiny":
        all_tests = [name for name in all_tests if name.startswith(TINY_TESTS)]
    part = session.begin("tests")
    if not all_tests:
        part["tail"] = listed.tail()
        return session.fail(part, "the test binary lists no test")

    def one(name):
        left = session.clock.left()
        if left <= 0:
            return name, "skipped", 0.0, []
        command = [session.tests, "--exact", name, "--nocapture", "--test-threads", "1"]
        done = call(command, left, env=env, log=session.record.log)
        return name, done.status, done.seconds, [] if done.status == "ok" else done.tail()

    workers = max(2, min(8, (os.cpu_count() or 2) // 2))
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(one, all_tests))
    kept = [
        {"test": name, "status": status, "seconds": round(seconds, 2), **({"tail": tail} if tail else {})}
        for name, status, seconds, tail in found
    ]
    part["data"] = kept
    part["workers"] = workers
    for status in ("failed", "late", "skipped"):
        if any(test["status"] == status for test in kept):
            part["status"] = status
            return None
    part["status"] = "ok"
    return None


def test_names(out):
    return [line[: -len(": test")] for line in out.splitlines() if line.endswith(": test")]


def more(session):
    """Runs a real network's batch, the decoders' kernels, and variants of the kernels."""
    session.part("check", [session.tool, "check", session.root / OCR, "--json"], cache="timed", wanted=True)
    variants(session, "unchecked")
    shapes = ["--shape", text(session.shapes[0])] if session.args.limits == "tiny" else []
    words = ["bench", "--decode", "--adapter", session.adapter, "--json", *shapes]
    decoded = session.part("decode", [session.tool, *words], cache="timed", wanted=True)
    for line in decoded.get("data", []):
        # The decoded labels are only needed to compare libraries, and are most of the bytes.
        line.pop("results", None)
        line.pop("log_probs", None)
    variants(session, "barriers")


def variants(session, name):
    """Times a variant of the kernels at every third shape, starting with the last."""
    for shape in session.shapes[::-3]:
        bench(session, shape, "--variant", name, name=f"{name} {text(shape)}")


def table(session):
    """Makes a table of at most 20 lines, which the run prints last, at the end of its log."""
    session.record.data["table"] = figures.terminal(session.record.data)


STEPS = [
    Step("machine", "the machine and its GPU", look),
    Step("validate", "correctness: the conformance suite", validate),
    Step("times", "our times, by stage", times),
    Step("torch", "PyTorch", torch),
    Step("optax", "optax", optax),
    Step("again", "our times again, and larger batches", again),
    Step("tests", "the GPU tests", tests),
    Step("more", "a real batch, decoders, variants", more),
    Step("table", "the table", table),
]
NAMES = [step.name for step in STEPS]
# Without them the rest means nothing.
ALWAYS = ("machine", "table")
