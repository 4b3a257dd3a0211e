"""Runs a program under a time limit and keeps what it printed, also if it was stopped."""

import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

# The seconds that a program may take to end after SIGTERM, and after it was killed.
GRACE_S = 2.0

# Lines of the output of one program that the record keeps, from its end.
TAIL_LINES = 20

# The programs that run at the moment, so that an interrupted session can stop them.
RUNNING = set()


@dataclass
class Done:
    """How a program ended: `status` is ok, failed or late."""

    status: str
    exit: "int | None"
    seconds: float
    out: str
    err: str

    def tail(self):
        lines = [line.rstrip() for line in (self.out + "\n" + self.err).splitlines()]
        kept = [line for line in lines if line][-TAIL_LINES:]
        return [line[:400] for line in kept]


def call(command, limit_s, env=None, cwd=None, log=None):
    """Runs `command` for at most `limit_s` seconds. Failures of the program raise nothing."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            program = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                cwd=cwd,
                # A group of its own, so that the programs that it starts are stopped with it.
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            done = Done("failed", None, 0.0, "", str(error))
        else:
            RUNNING.add(program)
            status = wait(program, limit_s)
            RUNNING.discard(program)
            seconds = time.monotonic() - began
            done = Done(status, program.returncode, seconds, read(out), read(err))
    if log:
        log(command, done)
    return done


def wait(program, limit_s):
    try:
        return "ok" if program.wait(limit_s) == 0 else "failed"
    except subprocess.TimeoutExpired:
        stop(program)
        return "late"


def stop(program):
    """Terminates the program, then kills it. One that hangs in its driver is left behind."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if os.name == "posix":
                os.killpg(program.pid, number)
            else:
                program.kill()
            program.wait(GRACE_S)
            return
        except (ProcessLookupError, PermissionError):
            return
        except subprocess.TimeoutExpired:
            continue


def stop_all():
    for program in list(RUNNING):
        stop(program)


def read(file):
    file.seek(0)
    return file.read().decode("utf-8", "replace")
