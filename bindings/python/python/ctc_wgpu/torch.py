"""`torch.nn.CTCLoss` and `torch.nn.functional.ctc_loss`, computed by ctc-wgpu.

Tensors on another device (CUDA, MPS) travel through the host: the logits there, losses and gradient back. Under
`torch.compile` the loss is a graph break. `torch.func.grad`, `vmap` and `jacrev` go through it. It has first derivatives, in
reverse mode, only: a second one, or one in forward mode, is an error. A loss is float32 whatever `log_probs` are; or float64, of
float64 by `backend="reference"`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ._arrays import Caller, array, as_numpy_has_it, flag
from ._core import Options, compute

__all__ = ["CTCLoss", "ctc_loss"]

FIRST_ONLY = "ctc_loss of ctc_wgpu has first derivatives, in reverse mode, only"
CALLER = Caller((
    ("logits", "log_probs"),
    ("labels", "targets"),
    ("logit_lengths", "input_lengths"),
    ("label_lengths", "target_lengths"),
))
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
    if not isinstance(log_probs, torch.Tensor):
        raise TypeError(f"log_probs is of {type(log_probs).__name__}: must be a dense torch.Tensor")
    log_probs = _tensor("log_probs", log_probs)
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs is of {log_probs.dtype}: must be of floating-point numbers")
    if log_probs.dim() not in (2, 3):
        raise ValueError(f"log_probs has shape {tuple(log_probs.shape)}: must be (T, N, C), or (T, C) for one item")
    targets = _tensor("targets", targets)
    input_lengths, target_lengths = _tensor("input_lengths", input_lengths), _tensor("target_lengths", target_lengths)
    alone = log_probs.dim() == 2
    if alone:
        log_probs = log_probs.unsqueeze(1)
        if targets.dim() > 1 and targets.shape[0] != 1:
            raise ValueError(f"targets has shape {tuple(targets.shape)}: must be (S,) where log_probs is (T, C)")
        targets = targets.reshape(1, -1)
    target_lengths = target_lengths.reshape(-1)
    loss = apply(
        log_probs,
        targets,
        input_lengths.reshape(-1),
        target_lengths,
        Options(
            blank=blank,
            input="logits" if flag("from_logits", from_logits) else "log_probs",
            impossible=IMPOSSIBLE[flag("zero_infinity", zero_infinity)],
            blank_in_labels="allow",
        ),
        layout="tnc",
        backend=backend,
        caller=CALLER,
    )
    if alone:
        loss, target_lengths = loss[0], target_lengths[0]
    if reduction == "mean":
        return (loss / target_lengths.to(loss).clamp(min=1)).mean()
    return loss.sum() if reduction == "sum" else loss


@torch.compiler.disable
def apply(
    logits: torch.Tensor,
    labels: torch.Tensor,
    logit_lengths: torch.Tensor,
    label_lengths: torch.Tensor,
    options: Options,
    *,
    layout: str,
    backend: str,
    caller: Caller,
) -> torch.Tensor:
    """Losses `[N]` of any options, differentiable by the logits."""
    if logits.is_meta:  # Only shapes are asked for.
        return logits.new_empty(logits.shape[0 if layout == "ntc" else 1], dtype=torch.float32)
    given = logits, labels, logit_lengths, label_lengths
    loss, _ = _Loss.apply(*given, options, layout, backend, caller, _requires_grad(logits))
    return loss


class _Loss(torch.autograd.Function):
    """The losses, and the gradient of each by its own logits, which is empty unless wanted."""

    @staticmethod
    def forward(logits, labels, logit_lengths, label_lengths, options, layout, backend, caller, wanted):
        loss, grad, _ = compute(
            _host(logits),
            _host(labels),
            options,
            logit_lengths=_host(logit_lengths),
            label_lengths=_host(label_lengths),
            layout=layout,
            backend=backend,
            caller=caller,
            grad=wanted,
        )
        # Narrowed as the logits are only after what comes in has scaled it, as AMP's scaler does
        # for half precision.
        grad = torch.from_numpy(grad).to(logits.device) if wanted else logits.new_empty(0)
        exact = loss.dtype == np.float64 and logits.dtype == torch.float64
        return torch.from_numpy(loss).to(logits.device, torch.float64 if exact else torch.float32), grad

    @staticmethod
    def setup_context(ctx, inputs, output):
        logits, layout, grad = inputs[0], inputs[5], output[1]
        ctx.mark_non_differentiable(grad)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(logits, grad)
        ctx.items = _items(layout)

    @staticmethod
    def backward(ctx, upstream, _):
        logits, grad = ctx.saved_tensors
        given = None if upstream is None else _Gradient.apply(logits, upstream, grad, ctx.items)
        return given, *[None] * 8

    @staticmethod
    def jvp(ctx, *_):
        raise RuntimeError(FIRST_ONLY)

    @staticmethod
    def vmap(info, in_dims, logits, labels, logit_lengths, label_lengths, options, layout, backend, caller, wanted):
        """Items do not depend on each other, so that a batch of batches is one of more items."""
        given = logits, labels, logit_lengths, label_lengths
        batches = [
            tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
            for tensor, axis in zip(given, in_dims, strict=False)
        ]
        # A batched tensor does not say whether the one beneath, which it is now, requires a
        # gradient.
        wanted = wanted or _requires_grad(batches[0])
        rest = options, layout, backend, caller, wanted
        if batches[1].dim() == 2:  # Labels in a row, of as many as the lengths of each batch say.
            found = [_Loss.apply(*batch, *rest) for batch in zip(*batches, strict=True)]
            return tuple(map(torch.stack, zip(*found, strict=True))), (0, 0)
        items = _items(layout)
        sizes = info.batch_size, batches[0].shape[items + 1]
        loss, grad = _Loss.apply(batches[0].movedim(0, items).flatten(items, items + 1), *(x.flatten(0, 1) for x in batches[1:]), *rest)
        if wanted:
            grad = grad.unflatten(items, sizes)
        return (loss.unflatten(0, sizes), grad), (0, items if wanted else None)


class _Gradient(torch.autograd.Function):
    """The gradient of each item, times what comes in for it.

    It takes the logits as an argument, although their gradient is made: it depends on them, so that whatever walks the graph
    from here to them for a second derivative comes to `backward`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(logits, upstream, grad, items):
        weights = upstream[None, :, None] if items else upstream[:, None, None]
        # Of an item that does not count not even a NaN.
        return (grad * weights).masked_fill_(weights == 0, 0).to(logits.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, _):
        raise RuntimeError(FIRST_ONLY)

    @staticmethod
    def jvp(ctx, *_):
        raise RuntimeError(FIRST_ONLY)


def on_host(function: Any, shapes: Any, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """Of a function from arrays to arrays of these shapes, the first of integers and the second of float32: its tensors."""
    if any(x.is_meta for x in tensors):  # Only shapes are asked for.
        return [torch.empty(shape, dtype=kind, device="meta") for shape, kind in zip(shapes, (torch.int64, torch.float32), strict=True)]
    return [torch.from_numpy(part).to(tensors[0].device) for part in function(*map(_host, tensors))]


def _host(value: Any) -> Any:
    """A tensor as numpy's array; all else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    return as_numpy_has_it(value.detach().cpu()).numpy()


def _tensor(name: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_nested:
            kind = "nested" if value.is_nested else value.layout
            raise TypeError(f"{name} is of {kind}: must be a dense torch.Tensor")
        return value
    values = array(name, value)
    # PyTorch takes neither another byte order nor negative strides.
    return torch.from_numpy(np.array(values, values.dtype.newbyteorder("="), order="C"))


def _requires_grad(tensor: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and tensor.requires_grad


def _items(layout: str) -> int:
    """The axis of the items."""
    return 0 if layout == "ntc" else 1
