"""The record of a session: one JSON file, complete after every part of every step."""

import contextlib
import json
import os
import threading
import time

FORMAT = 1

# Bytes of the output of one program that the log keeps, from its end.
LOG_BYTES = 1 << 20

# From the best to the worst; a step is as good as the worst of its parts. `pending` means that the
# session ended before the step did; `absent`, that the machine lacks what the part needs.
STATUSES = ("ok", "absent", "skipped", "late", "failed", "pending")


def worst(statuses):
    """Returns the status of a step from those of its parts. Absent parts count only alone."""
    known = [status for status in statuses if status != "absent"]
    if not known:
        return "absent" if statuses else "ok"
    return max(known, key=STATUSES.index)


class Clock:
    """Counts down from `limit_s`, and never runs longer than the clock that it is a part of."""

    def __init__(self, limit_s, within=None):
        left = limit_s if within is None else min(limit_s, within.left())
        self.end = time.monotonic() + left

    def left(self):
        return max(0.0, self.end - time.monotonic())


class Record:
    def __init__(self, path, log_path, facts, names):
        self.path = path
        self.log_path = log_path
        # They replace the folders of the user's machine in the file, which is published.
        self.names = names
        # Tests of a step run in threads.
        self.lock = threading.Lock()
        self.data = {"format": FORMAT, **facts, "steps": [], "ended": None}
        log_path.write_text("", encoding="utf-8")

    def write(self):
        """Replaces the file at once, so that a reader or an interruption never sees half of it."""
        text = json.dumps(self.names.value(self.data), indent=1, ensure_ascii=False) + "\n"
        scratch = self.path.with_suffix(".part")
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, self.path)

    def log(self, command, done):
        output = (done.out + done.err)[-LOG_BYTES:]
        heading = f"\n$ {' '.join(map(str, command))}\n"
        ending = f"[{done.status}, exit status {done.exit}, {done.seconds:.2f} s]\n"
        with self.lock, self.log_path.open("a", encoding="utf-8") as log:
            log.write(heading + output + ending)

    def step(self, name):
        return next(step for step in self.data["steps"] if step["name"] == name)

    @contextlib.contextmanager
    def timed(self, step):
        """Sets the step's seconds and writes the record, whatever happens inside."""
        began = time.monotonic()
        try:
            yield
        finally:
            step["seconds"] = round(time.monotonic() - began, 2)
            self.write()
