"""Runs the steps on the machine with the GPU, each under its limit, and records them."""

import datetime
import json
import shutil
import signal
import tempfile
import time
import traceback
from pathlib import Path

from shapes import SHAPES

from session import Failed, bundle, machine, privacy, process, steps
from session.record import Clock, Record, worst


class Interrupted(BaseException):
    """A signal ends the session."""


class Session:
    """The state that the steps share."""

    class Stop(Exception):
        """Nothing after this step is possible."""

    def __init__(self, args, root, scratch, record):
        self.args, self.root, self.out, self.scratch, self.record = args, root, args.out, scratch, record
        self.tool, self.tests = bundle.tool(root), bundle.tests(root)
        self.limits = steps.LIMITS[args.limits]
        tiny = args.limits == "tiny"
        self.shapes = steps.TINY_SHAPES if tiny else SHAPES
        self.large = steps.TINY_LARGE if tiny else steps.LARGE
        self.enough_s = steps.ENOUGH_S[args.limits]
        self.env = machine.basic(scratch)
        # Peers run without the variables for the Vulkan driver. By default JAX allocates most of
        # the GPU's memory at once.
        self.peer_env = {**self.env, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self.all = Clock(self.limits["all"] * args.scale)
        self.clock, self.entry = self.all, None

    @property
    def adapter(self):
        return self.record.data["adapter"]["name"]

    def caches(self, name):
        """Returns the environment with shader caches of this name, empty at first.

        So a first plan is compiled in full.
        """
        folder = self.scratch / "caches" / name
        folder.mkdir(parents=True, exist_ok=True)
        kept = ("XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH")
        return {**self.env, **{variable: str(folder) for variable in kept}}

    def begin(self, name):
        part = {"name": name, "status": "pending", "seconds": 0.0}
        self.entry["parts"].append(part)
        return part

    def fail(self, part, reason):
        part["status"] = "failed"
        part["reason"] = reason

    def part(self, name, command, limit_s=None, env=None, cache=None, wanted=False):
        """Runs one program of the step. With `wanted`, its output is JSON and is recorded."""
        part = self.begin(name)
        part["command"] = " ".join(Path(word).name if Path(str(word)).is_absolute() else str(word) for word in command)
        left = min(self.clock.left(), limit_s or self.clock.left())
        if left <= 0:
            part["status"] = "skipped"
            return part
        done = process.call(command, left, env=env or self.caches(cache or "other"), log=self.record.log)
        part.update(status=done.status, exit=done.exit, seconds=round(done.seconds, 2))
        if wanted:
            # A program that was stopped may have printed some of its lines.
            part["data"] = steps.values(done.out)
            gone = [line["absent"] for line in part["data"] if "absent" in line]
            if gone:
                part.update(status="absent", reason=gone[0])
            elif done.status == "ok" and not part["data"]:
                self.fail(part, "it printed no JSON")
        if part["status"] in ("failed", "late"):
            part["tail"] = [line for line in done.tail() if not line.startswith(("{", "[{"))]
        self.record.write()
        return part

    def note(self, text):
        print(text, flush=True)


def new_step(step, limit_s):
    return {
        "name": step.name,
        "title": step.title,
        "limit_s": round(limit_s, 1),
        "status": "pending",
        "seconds": 0.0,
        "parts": [],
    }


def run_step(session, step, entry):
    """Runs one step under its limit. Exceptions are recorded; only an interruption is raised."""
    session.entry, session.clock = entry, Clock(entry["limit_s"], session.all)
    if session.clock.left() <= 0:
        entry.update(status="skipped", reason="no time was left")
        session.record.write()
        return
    with session.record.timed(entry):
        try:
            step.run(session)
            entry["status"] = worst([part["status"] for part in entry["parts"]])
        except Session.Stop as reason:
            entry.update(status="failed", reason=str(reason))
        except Interrupted:
            entry.update(status="failed", reason="the session was interrupted")
            raise
        except Exception as error:
            entry.update(
                status="failed",
                reason=f"{type(error).__name__}: {error}",
                tail=traceback.format_exc().splitlines()[-process.TAIL_LINES :],
            )
        if step.name in ("times", "torch", "again"):
            # The clocks just after the work; those of an idle GPU are lower.
            entry["smi"] = machine.smi()
    session.note(f"{entry['status']:<8} {entry['seconds']:6.1f} s  {entry['title']}" + reason_of(entry))


def reason_of(entry):
    if entry.get("reason"):
        return f": {entry['reason']}"
    bad = [part for part in entry["parts"] if part["status"] not in ("ok", "absent")]
    return f": {', '.join(part['name'] + ' ' + part['status'] for part in bad[:4])}" if bad else ""


def retry(session, step, entry):
    """Runs a step that ran out of time again, in the time that the others left.

    Its programs find what they compiled before.
    """
    first = {key: entry[key] for key in ("status", "seconds", "parts")}
    limit_s = min(2 * entry["limit_s"], session.all.left() - session.limits["table"] * session.args.scale)
    entry.update(new_step(step, limit_s), tries=2)
    if step.name == "times":
        # Its first plans must be compiled in full again.
        shutil.rmtree(session.scratch / "caches/timed", ignore_errors=True)
    run_step(session, step, entry)
    if rank(entry) > rank(first):
        entry.update(first)


def retry_late(session):
    """Runs late steps again, unless steps were selected: then their limits bound the run."""
    if session.args.steps:
        return
    for step in steps.STEPS:
        entry = session.record.step(step.name)
        if entry["status"] == "late" and session.all.left() > entry["limit_s"]:
            retry(session, step, entry)


def rank(entry):
    """Ranks a try: by its status, then by the number of parts that did not end well."""
    bad = sum(part["status"] not in ("ok", "absent") for part in entry["parts"])
    return entry["status"] != "ok", bad


def run_all(session):
    scale, data = session.args.scale, session.record.data
    data["steps"] = [new_step(step, session.limits[step.name] * scale) for step in steps.STEPS]
    session.record.write()
    chosen = session.args.steps or steps.NAMES
    for step in steps.STEPS:
        entry = session.record.step(step.name)
        if step.name not in chosen and step.name not in steps.ALWAYS:
            entry.update(status="skipped", reason="not selected")
            continue
        if step.name != "machine" and not data.get("adapter"):
            entry.update(status="skipped", reason="there is no adapter")
            continue
        if step.name == "table":
            retry_late(session)
        run_step(session, step, entry)
        session.record.write()


def interrupt(number, _frame):
    # First, since the threads of a step wait for their programs.
    process.stop_all()
    raise Interrupted(signal.Signals(number).name)


def run(args, command):
    """Runs the session and returns its record, which is in OUT/session.json too."""
    root = bundle.find(args.bundle)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        # Fails now rather than at the end of the session if OUT cannot be written to.
        tempfile.TemporaryFile(dir=args.out).close()
    except OSError as error:
        raise Failed(f"{args.out} is not a folder that can be written to: {error.strerror}") from None
    args.out = args.out.resolve()
    path = args.out / "session.json"
    if path.exists():
        raise Failed(f"{path} exists, and this run would replace it: name another folder, or remove that file")
    facts = {
        "kind": "session",
        "date": datetime.date.today().isoformat(),
        "began": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "limits": {"set": args.limits, "scale": args.scale, "seconds": steps.LIMITS[args.limits]["all"] * args.scale},
        "bundle": json.loads((root / bundle.FACTS).read_text(encoding="utf-8")),
        "machine": None,
        "smi": None,
        "adapter": None,
    }
    scratch = Path(tempfile.mkdtemp(prefix="gpu-session-"))
    names = privacy.of_run(root, args.out, scratch, args.python)
    record = Record(path, args.out / "log.txt", facts, names)
    old = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    began = time.monotonic()
    try:
        run_all(Session(args, root, scratch, record))
    except Interrupted as reason:
        record.data["interrupted"] = str(reason)
    finally:
        record.data["ended"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        record.data["seconds"] = round(time.monotonic() - began, 1)
        record.write()
        # Before a second signal can end the process.
        shutil.rmtree(scratch, ignore_errors=True)
        for number, handler in old.items():
            signal.signal(number, handler)
    return record.data
