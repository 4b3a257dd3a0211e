"""What it costs that PyTorch's tensors travel through the host, by size: `ctc_wgpu.torch.ctc_loss` on tensors of the CPU and, where there is
one, of a CUDA GPU, beside the loss over numpy arrays alone.

Prints ms of loss and gradient, the fastest of many, for on a busy machine any may be held up: `numpy` is the loss and no framework; `cpu` the
same from and to tensors, with autograd; `cuda` that with both copies, `copies` the copies alone: the logits to the host, the gradient back."""

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
        given = [torch.tensor(part) for part in (labels, *lengths)]

        def step(x=x, given=given):
            x.grad = None
            # Time first is a view here: nobody copies.
            ctc_loss(x.transpose(0, 1), *given, reduction="sum", from_logits=True, backend="cpu").backward()

        found[device] = fastest_ms(step, device)
        if device == "cuda":
            gradient = torch.from_numpy(logits)
            found["copies"] = fastest_ms(lambda x=x, gradient=gradient: (x.detach().cpu(), gradient.cuda()), device)
    return found


def main():
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    print("on", torch.cuda.get_device_name() if len(devices) > 1 else "the CPU only: no CUDA GPU was found")
    for items, frames, classes in SIZES:
        found = measure(items, frames, classes, devices)
        mib = items * frames * classes * 4 / 2**20
        columns = "  ".join(f"{name} {ms:8.3f} ms" for name, ms in found.items())
        print(f"N={items} T={frames} C={classes} ({mib:6.1f} MiB)  {columns}")


if __name__ == "__main__":
    main()
