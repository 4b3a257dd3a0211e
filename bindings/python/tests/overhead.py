"""What a call costs beside the loss: a batch so small that the loss is next to nothing.

Prints the median µs of a call from Python with arrays that need no copy, and fails above a bound that no quiet machine comes near."""

import time

import numpy as np
from ctc_wgpu import _core, ctc_loss_and_grad


def median_us(call, runs=3000):
    times = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return np.median(times) / 1e3


def main():
    logits = np.zeros((1, 2, 3), np.float32)
    labels, ones = np.ones((1, 1), np.int32), np.ones(1, np.int32)
    backend, options = _core.backend_of("cpu"), _core.Options()

    def native():
        backend.compute(logits, (labels, ones), options, time_major=False, frames=ones, weights=None, grad=True)

    whole = median_us(lambda: ctc_loss_and_grad(logits, labels, ones, ones, backend="cpu"))
    print(f"ctc_loss_and_grad of N=1 T=2 C=3: {whole:.1f} µs, of which the native call {median_us(native):.1f} µs")
    assert whole < 200, "a call costs more than it may"


if __name__ == "__main__":
    main()
