"""Measures the overhead of a call, with a batch so small that the loss takes almost no time.

Prints the µs of calls with arrays that need no copy: of the whole call from Python, and of the
native module. The result is the fastest of many batches of calls, because others may be delayed on
a busy machine. `tests/test_numpy.py` limits the number of functions that a call runs.
"""

import time

import numpy as np
from ctc_wgpu import _core, align, ctc_loss, ctc_loss_and_grad


def fastest_us(call, batches=60, calls=50):
    """Returns the mean µs of a call in the fastest batch."""
    fastest = float("inf")
    for _ in range(batches):
        begin = time.perf_counter_ns()
        for _ in range(calls):
            call()
        fastest = min(fastest, time.perf_counter_ns() - begin)
    return fastest / calls / 1e3


def main():
    logits = np.zeros((1, 2, 3), np.float32)
    labels, ones = np.ones((1, 1), np.int32), np.ones(1, np.int32)
    backend, options = _core.backend_of("cpu"), _core.Options()
    calls = {
        "ctc_loss_and_grad": lambda: ctc_loss_and_grad(logits, labels, ones, ones, backend="cpu"),
        "ctc_loss": lambda: ctc_loss(logits, labels, ones, ones, backend="cpu"),
        "align": lambda: align(logits, labels, ones, ones),
    }
    times = {name: fastest_us(call) for name, call in calls.items()}
    native = fastest_us(
        lambda: backend.compute(
            logits,
            (labels, ones),
            options,
            time_major=False,
            frames=ones,
            weights=None,
            grad=True,
        )
    )
    print("N=1 T=2 C=3:", ", ".join(f"{name} {us:.1f} µs" for name, us in times.items()))
    print(f"the native module takes {native:.1f} µs of ctc_loss_and_grad")


if __name__ == "__main__":
    main()
