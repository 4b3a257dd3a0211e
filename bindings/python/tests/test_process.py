"""Signals, panics, and other processes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ctc_wgpu import _core, ctc_loss

INTERRUPTED = """
import os, signal, threading, time
import numpy as np
import ctc_wgpu

x, labels = np.zeros((1, 40_000, 20), np.float32), np.ones((1, 15_000), int)
seen = set()


def computing():
    return {thread for thread in threading.enumerate() if thread.name.startswith("ctc-wgpu call")}


def interrupt():
    while not computing() - seen:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


for call in (
    lambda: ctc_wgpu.ctc_loss_and_grad(x, labels, backend="cpu"),
    lambda: ctc_wgpu.ctc_loss(x, labels, backend="reference"),
    lambda: ctc_wgpu.align(x, labels),
    lambda: ctc_wgpu.beam_decode(x, width=1000),
    lambda: ctc_wgpu.label_error_rate(["xy" * 50_000], ["yx" * 50_000]),
):
    threading.Thread(target=interrupt).start()
    try:
        call()
        print("ended")
    except KeyboardInterrupt:
        print("interrupted", len(computing() - seen))
        seen |= computing()
os._exit(0)
"""


def test_an_interrupt_is_raised_while_it_computes():
    """The thread that computes is there still when the exception is."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert ended.stdout.splitlines() == ["interrupted 1"] * 5, ended.stderr


def test_errors_of_long_calls_are_those_of_short_ones():
    x = np.zeros((1, 50_000, 100), np.float32)
    assert x.size > _core.LONG
    assert ctc_loss(x, [[1]], backend="cpu") == pytest.approx(50_000 * np.log(100) - np.log(50_000 * 50_001 / 2), rel=1e-5)
    with pytest.raises(ValueError, match="item 0: label 100 at position 0 is not below 100 classes"):
        ctc_loss(x, [[100]], backend="cpu")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_panic_is_an_exception_and_the_next_call_works(backend, capfd):
    place = _core.backend_of(backend)
    with pytest.raises(RuntimeError, match="internal error in ctc_wgpu, please report it: so it was"):
        place._panic("so it was")
    assert "so it was" in capfd.readouterr().err
    assert ctc_loss(np.zeros((1, 3, 2), np.float32), [[1]], backend=backend) == pytest.approx(np.log(8 / 6))


def test_the_number_of_threads_changes_no_answer():
    script = (
        "import numpy as np, ctc_wgpu; x = np.random.default_rng(0).normal(size=(8, 50, 9)).astype(np.float32);"
        "loss, grad = ctc_wgpu.ctc_loss_and_grad(x, np.ones((8, 4), int), backend='cpu');"
        "print(loss.tobytes().hex(), grad.tobytes().hex(), ctc_wgpu.beam_decode(x))"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **more}, capture_output=True, text=True, timeout=300, check=True
        ).stdout
        for more in ({}, {"RAYON_NUM_THREADS": "1"})
    ]
    assert answers[0] == answers[1] != ""
