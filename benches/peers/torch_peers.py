"""PyTorch's CTC losses, FlagGems' in its place, and the rate at which PyTorch copies."""

from timing import Absent, Step, best, first_line, timer_for

COPIED_BYTES = 1 << 30


def torch_cpu(logits, labels, threads):
    import torch

    torch.set_num_threads(threads)
    return [step_of(torch, logits, torch.tensor(labels).long(), "cpu", "cpu")]


def torch_cuda(logits, labels, _threads):
    """Calls PyTorch's own kernels.

    Labels on the CPU would be copied in every step; for lengths that depends on PyTorch.
    """
    torch = with_cuda()
    torch.backends.cudnn.enabled = False
    labels = torch.tensor(labels).long().cuda()
    return [step_of(torch, logits, labels, "cuda", place) for place in ("cpu", "cuda")]


def torch_cudnn(logits, labels, _threads):
    """Calls cuDNN, which requires blank 0, full lengths and one row of int32 labels on the host."""
    if labels.shape[1] > 256:
        raise ValueError("cuDNN takes at most 256 labels")
    torch = with_cuda()
    # The other algorithm gives NaN gradients for sharp logits.
    torch.backends.cudnn.deterministic = True
    return [step_of(torch, logits, torch.tensor(labels).int().reshape(-1), "cuda", "cpu")]


def flag_gems(logits, labels, _threads):
    """FlagGems' Triton kernels after PyTorch's softmax."""
    torch = with_cuda()
    try:
        import flag_gems as gems
    except ImportError:
        raise
    except Exception as error:  # It looks for its device while it is imported.
        raise Absent(first_line(error)) from None
    if not hasattr(gems, "ctc_loss"):
        raise Absent(f"flag_gems {gems.__version__} has no ctc_loss")
    labels = torch.tensor(labels).long().cuda()
    return [step_of(torch, logits, labels, "cuda", place, gems.ctc_loss) for place in ("cpu", "cuda")]


def with_cuda():
    import torch

    if not torch.cuda.is_available():
        raise Absent("no CUDA device")
    return torch


def step_of(torch, logits, labels, device, lengths_on, ctc_loss=None):
    ctc_loss = ctc_loss or torch.nn.functional.ctc_loss
    items, frames, _ = logits.shape
    x = torch.tensor(logits.transpose(1, 0, 2).copy(), device=device, requires_grad=True)
    kind = torch.int32 if labels.dtype == torch.int32 else torch.long
    logit_lengths = torch.full((items,), frames, dtype=kind, device=lengths_on)
    label_lengths = torch.full((items,), labels.numel() // items, dtype=kind, device=lengths_on)

    def start():
        x.grad = None
        log_probs = torch.log_softmax(x, -1)
        loss = ctc_loss(log_probs, labels, logit_lengths, label_lengths, reduction="none")
        loss.sum().backward()
        return loss, x.grad

    def numpy(answer):
        return [tensor.detach().cpu().numpy() for tensor in answer]

    if device == "cpu":
        return Step(start, lambda answer: answer, numpy)
    return cuda_step(torch, start, numpy, lengths_on)


def cuda_step(torch, start, numpy, lengths_on=None):
    return Step(
        start,
        lambda _answer: torch.cuda.synchronize(),
        numpy,
        on_gpu=True,
        kernels=lambda steps: profiled(torch, start, steps),
        events=lambda: between_events(torch, start),
        lengths_on=lengths_on,
    )


def between_events(torch, start):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    start()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def profiled(torch, start, steps):
    """Returns the milliseconds and the number of kernels, copies and fills of these steps."""
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(steps):
            start()
        torch.cuda.synchronize()
    return device_time(profile.events())


def device_time(events):
    """Returns the milliseconds and the number of the events that ran on the device.

    They are added up as in PyTorch's own table.
    """
    times = [
        event.self_device_time_total if hasattr(event, "self_device_time_total") else event.self_cuda_time_total
        for event in events
        if event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False)
    ]
    return sum(times) * 1e-3, len(times)


def copy_rate(seconds):
    """Returns the line of `copy_` on the GPU, with the size of its L2 cache if it is known."""
    torch = with_cuda()
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    step = cuda_step(torch, lambda: target.copy_(source), None)
    line = best([timer_for([step], seconds).figures(step)])
    device = torch.cuda.get_device_properties(0)
    return line | {
        "bytes": COPIED_BYTES,
        # Every byte is read and written.
        "copy_gb_per_s": 2 * COPIED_BYTES / (line["median_ms"] * 1e6),
        "device": device.name,
        "l2_bytes": getattr(device, "L2_cache_size", None),
    }
