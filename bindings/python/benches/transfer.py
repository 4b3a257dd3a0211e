"""Measures the cost of copying PyTorch tensors through the host, for several sizes.

Prints the ms of loss and gradient, the fastest of many runs, because others may be delayed on a
busy machine:

numpy    the loss of numpy arrays, without a framework
cpu      `ctc_wgpu.torch.ctc_loss` of tensors on the CPU, with autograd
cuda     the same of tensors on a CUDA GPU, if there is one, with both copies
copies   the copies alone: the logits to the host, the gradient back
"""

import time

import numpy as np
import torch
from ctc_wgpu import ctc_loss_and_grad
from ctc_wgpu.torch import ctc_loss

SIZES = [(32, 50, 20), (32, 150, 28), (16, 256, 80), (8, 500, 1000), (64, 150, 5000)]  # N, T, C


def fastest_ms(call, device, least_runs=7, seconds=0.5):
    times, end = [], time.perf_counter() + seconds
    while len(times) < least_runs or (time.perf_counter() < end and len(times) < 1000):
        begin = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def measure(items, frames, classes, devices):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(items, frames, classes)).astype(np.float32)
    labels = rng.integers(1, classes, (items, 10)).astype(np.int32)
    lengths = np.full(items, frames, np.int32), np.full(items, 10, np.int32)
    found = {"numpy": fastest_ms(lambda: ctc_loss_and_grad(logits, labels, *lengths, backend="cpu"), "cpu")}
    for device in devices:
        x = torch.tensor(logits, device=device).requires_grad_()
        targets = [torch.tensor(part) for part in (labels, *lengths)]

        def step(x=x, targets=targets):
            x.grad = None
            # The transposed tensor is a view, which is not copied.
            loss = ctc_loss(
                x.transpose(0, 1), *targets, reduction="sum", from_logits=True, backend="cpu"
            )
            loss.backward()

        found[device] = fastest_ms(step, device)
        if device == "cuda":
            gradient = torch.from_numpy(logits)
            found["copies"] = fastest_ms(lambda x=x, gradient=gradient: (x.detach().cpu(), gradient.cuda()), device)
    return found


def main():
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    found = torch.cuda.get_device_name() if len(devices) > 1 else "none, measuring the CPU only"
    print(f"CUDA GPU: {found}")
    for items, frames, classes in SIZES:
        found = measure(items, frames, classes, devices)
        mib = items * frames * classes * 4 / 2**20
        columns = "  ".join(f"{name} {ms:8.3f} ms" for name, ms in found.items())
        print(f"N={items} T={frames} C={classes} ({mib:6.1f} MiB)  {columns}")


if __name__ == "__main__":
    main()
