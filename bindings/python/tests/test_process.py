"""Signals, panics, caches, and other processes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ctc_wgpu import _core, ctc_loss, set_cache_limits

INTERRUPTED = """
import os, signal, threading, time
import numpy as np
import ctc_wgpu

# A shell starts background processes with this signal ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
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


def test_an_interrupt_is_raised_during_a_call():
    """The computing thread is still alive when the exception is raised."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert ended.stdout.splitlines() == ["interrupted 1"] * 5, ended.stderr


def test_errors_of_long_calls_are_those_of_short_ones():
    x = np.zeros((1, 50_000, 100), np.float32)
    assert x.size > _core.LONG
    assert ctc_loss(x, [[1]], backend="cpu") == pytest.approx(50_000 * np.log(100) - np.log(50_000 * 50_001 / 2), rel=1e-5)
    with pytest.raises(ValueError, match="item 0: label 100 at position 0 is out of range: expected 0 to 99 for 100 classes"):
        ctc_loss(x, [[100]], backend="cpu")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_panic_becomes_an_exception_and_the_next_call_works(backend, capfd):
    native = _core.backend_of(backend)
    with pytest.raises(RuntimeError, match="internal error in ctc_wgpu, please report it: so it was"):
        native._panic("so it was")
    assert "so it was" in capfd.readouterr().err
    assert ctc_loss(np.zeros((1, 3, 2), np.float32), [[1]], backend=backend) == pytest.approx(np.log(8 / 6))


# The workspace of this batch takes about 300 MiB.
CACHES = """
import numpy as np, ctc_wgpu

x, labels = np.zeros((1, 20_000, 20), np.float32), np.arange(4000)[None] % 2 + 1


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def after_a_call():
    ctc_wgpu.ctc_loss_and_grad(x, labels, backend="cpu")
    return resident()


# The limits apply to a backend created later and to an existing one, and release memory at once.
ctc_wgpu.set_cache_limits(shapes=0)
none_kept = after_a_call()
ctc_wgpu.set_cache_limits()
kept = after_a_call()
ctc_wgpu.set_cache_limits(shapes=0)
print(kept - none_kept, kept - resident(), kept - after_a_call())
"""


def test_caches_are_released_at_once_and_not_filled_again():
    ended = subprocess.run([sys.executable, "-c", CACHES], capture_output=True, text=True, timeout=300, check=True)
    assert min(map(int, ended.stdout.split())) > 100 << 20


def test_cache_limits_do_not_change_results_and_invalid_ones_raise():
    x = np.random.default_rng(0).normal(size=(2, 20, 5)).astype(np.float32)
    results = []
    for limits in ({}, {"shapes": 0}, {"pipelines": 0}, {"pipelines": 2**70, "shapes": np.int64(1)}):
        set_cache_limits(**limits)
        results += [ctc_loss(x, [[1, 2]] * 2, backend=backend).tobytes() for backend in ("cpu", "gpu", "cpu", "gpu")]
    set_cache_limits()
    assert set(results[::2]) == {results[0]}
    assert set(results[1::2]) == {results[1]}
    with pytest.raises(ValueError, match="shapes=-1: must not be negative"):
        set_cache_limits(shapes=-1)
    with pytest.raises(TypeError, match=r"pipelines=1\.5: must be an integer"):
        set_cache_limits(1.5)


def test_the_number_of_threads_does_not_change_results():
    script = (
        "import numpy as np, ctc_wgpu; x = np.random.default_rng(0).normal(size=(8, 50, 9)).astype(np.float32);"
        "loss, grad = ctc_wgpu.ctc_loss_and_grad(x, np.ones((8, 4), int), backend='cpu');"
        "print(loss.tobytes().hex(), grad.tobytes().hex(), ctc_wgpu.beam_decode(x))"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **more}, capture_output=True, text=True, timeout=300, check=True
        ).stdout
        for more in ({}, {"RAYON_NUM_THREADS": "1"})
    ]
    assert results[0] == results[1] != ""
