"""`torch.nn.CTCLoss` and `torch.nn.functional.ctc_loss`, computed by ctc-wgpu.

Tensors on another device (CUDA, MPS) travel through the host: the logits there, losses and gradient back. Under
`torch.compile` the loss is a graph break. It has first derivatives only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ._core import Options, compute

__all__ = ["CTCLoss", "ctc_loss"]

IMPOSSIBLE = {False: "inf", True: "zero"}


class CTCLoss(torch.nn.Module):
    """`torch.nn.CTCLoss`, with two choices more.

    Args:
        blank, reduction, zero_infinity: as `torch.nn.CTCLoss` has them.
        from_logits: whether what goes in are logits, whose log-softmax is taken inside, in one pass and with less memory.
            Else log-probabilities, right after a log-softmax.
        backend: as of `ctc_wgpu.ctc_loss`. With "reference" float64 tensors are computed in float64, which
            `torch.autograd.gradcheck` needs; else in float32.
    """

    def __init__(
        self,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.blank = blank
        self.reduction = reduction
        self.zero_infinity = zero_infinity
        self.from_logits = from_logits
        self.backend = backend

    def forward(self, log_probs: torch.Tensor, targets: Any, input_lengths: Any, target_lengths: Any) -> torch.Tensor:
        """As `ctc_loss`."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
            from_logits=self.from_logits,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        return (
            f"blank={self.blank}, reduction={self.reduction!r}, zero_infinity={self.zero_infinity}, "
            f"from_logits={self.from_logits}, backend={self.backend!r}"
        )


def ctc_loss(
    log_probs: torch.Tensor,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    *,
    from_logits: bool = False,
    backend: str = "auto",
) -> torch.Tensor:
    """`torch.nn.functional.ctc_loss`: the same arguments and results, and those of `CTCLoss`.

    `log_probs` is `(T, N, C)`, or `(T, C)` for one item; `targets` is `(N, S)`, or `(sum(target_lengths),)`; lengths are tensors
    or sequences of N.

    Raises:
        ValueError: a target, a length or an argument breaks a rule.
        TypeError: a tensor is of another kind of numbers.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f'reduction={reduction!r}: must be "none", "mean" or "sum"')
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs is of {log_probs.dtype}: must be of floating-point numbers")
    alone = log_probs.dim() == 2
    if alone:
        log_probs = log_probs.unsqueeze(1)
        targets = torch.as_tensor(targets).reshape(1, -1)
    input_lengths, target_lengths = _lengths(input_lengths), _lengths(target_lengths)
    loss = apply(
        log_probs,
        _host(targets),
        input_lengths,
        target_lengths,
        Options(
            blank=blank,
            input="logits" if from_logits else "log_probs",
            impossible=IMPOSSIBLE[bool(zero_infinity)],
            blank_in_labels="allow",
        ),
        layout="tnc",
        backend=backend,
    )
    if alone:
        loss, target_lengths = loss[0], target_lengths[0]
    if reduction == "mean":
        return (loss / target_lengths.to(loss).clamp(min=1)).mean()
    return loss.sum() if reduction == "sum" else loss


def apply(
    logits: torch.Tensor, labels: Any, logit_lengths: Any, label_lengths: Any, options: Options, *, layout: str, backend: str
) -> torch.Tensor:
    """Losses `[N]` of any options, differentiable by the logits."""
    if logits.is_meta:  # Only shapes are asked for.
        return logits.new_empty(logits.shape[0 if layout == "ntc" else 1])
    wanted = torch.is_grad_enabled() and logits.requires_grad
    return _Loss.apply(logits, labels, logit_lengths, label_lengths, options, layout, backend, wanted)


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels, logit_lengths, label_lengths, options, layout, backend, wanted):
        loss, grad, _ = compute(
            _host(logits),
            _host(labels),
            options,
            logit_lengths=_host(logit_lengths),
            label_lengths=_host(label_lengths),
            layout=layout,
            backend=backend,
            grad=wanted,
        )
        if wanted:
            ctx.save_for_backward(torch.from_numpy(grad).to(logits))
            ctx.items = 0 if layout == "ntc" else 1
        return torch.from_numpy(loss).to(logits)

    @staticmethod
    def backward(ctx, upstream):
        if torch.is_grad_enabled():
            # A graph of the gradient is built. It depends on the logits, and not only on what comes in, by which alone
            # `once_differentiable` judges: without this a second derivative would be 0 where it must be an error.
            upstream = upstream.detach().requires_grad_()
        return _weigh(ctx, upstream), *[None] * 7


@once_differentiable
def _weigh(ctx, upstream):
    (grad,) = ctx.saved_tensors
    weights = [1, 1, 1]
    weights[ctx.items] = -1
    weighted = grad * upstream.reshape(weights)
    # Of an item that does not count not even a NaN.
    (hidden,) = torch.nonzero(upstream == 0, as_tuple=True)
    return weighted.index_fill_(ctx.items, hidden, 0) if len(hidden) else weighted


def on_host(function: Any, shapes: Any, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """Of a function from arrays to arrays of these shapes, the first of integers and the second of float32: its tensors."""
    if any(x.is_meta for x in tensors):  # Only shapes are asked for.
        return [torch.empty(shape, dtype=kind, device="meta") for shape, kind in zip(shapes, (torch.int64, torch.float32), strict=True)]
    return [torch.from_numpy(part).to(tensors[0].device) for part in function(*map(_host, tensors))]


def _host(value: Any) -> Any:
    """A tensor as numpy's array; all else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _lengths(value: Any) -> torch.Tensor:
    return torch.as_tensor(value).detach().cpu().reshape(-1)
