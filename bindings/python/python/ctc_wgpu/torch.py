"""`torch.nn.CTCLoss` and `torch.nn.functional.ctc_loss`, computed by ctc-wgpu.

Tensors on another device (CUDA, MPS) are copied: the logits to the host, losses and gradient back.
Under `torch.compile` the loss is a graph break. `grad`, `vjp`, `jacrev` and `vmap` of `torch.func`
are supported. Only first derivatives in reverse mode are supported; second derivatives and forward
mode are errors. Losses are float32 for `log_probs` of any type; with `backend="reference"`, those
of float64 `log_probs` are float64.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from ._arrays import Conventions, array, flag, numpy_compatible
from ._core import Options, compute

__all__ = ["CTCLoss", "ctc_loss"]

FIRST_ONLY = "ctc_loss of ctc_wgpu supports first derivatives in reverse mode only"
#: The conventions of `torch.nn.functional.ctc_loss`.
CONVENTIONS = Conventions((
    ("logits", "log_probs"),
    ("labels", "targets"),
    ("logit_lengths", "input_lengths"),
    ("label_lengths", "target_lengths"),
))
#: The option `impossible` for each value of `zero_infinity`.
IMPOSSIBLE = {False: "inf", True: "zero"}

Reduction = Literal["none", "mean", "sum"]


class CTCLoss(torch.nn.Module):
    """`torch.nn.CTCLoss` with two more arguments.

    Args:
        blank, reduction, zero_infinity: as in `torch.nn.CTCLoss`.
        from_logits: whether the input is logits, to which the log-softmax is applied internally, in
            one pass and with less memory. Otherwise it is log-probabilities, the result of a
            log-softmax.
        backend: as in `ctc_wgpu.ctc_loss`. "reference" computes float64 tensors in float64, which
            `torch.autograd.gradcheck` requires; the others compute in float32.
    """

    def __init__(
        self,
        blank: int = 0,
        reduction: Reduction = "mean",
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

    def forward(
        self, log_probs: torch.Tensor, targets: Any, input_lengths: Any, target_lengths: Any
    ) -> torch.Tensor:
        """Returns the result of `ctc_loss` with the arguments of this module."""
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
            f"blank={self.blank}, reduction={self.reduction!r}, "
            f"zero_infinity={self.zero_infinity}, from_logits={self.from_logits}, "
            f"backend={self.backend!r}"
        )


def ctc_loss(
    log_probs: torch.Tensor,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
    *,
    from_logits: bool = False,
    backend: str = "auto",
) -> torch.Tensor:
    """Returns the loss, like `torch.nn.functional.ctc_loss`, with the same arguments.

    `from_logits` and `backend` are those of `CTCLoss`.

    Args:
        log_probs: `(T, N, C)`, or `(T, C)` for one item.
        targets: integers `(N, S)`, or `(sum(target_lengths),)`.
        input_lengths, target_lengths: tensors or sequences of N integers.

    Returns:
        With the reduction "none", the losses `(N,)`, or one loss `()` for `(T, C)`. Otherwise the
        reduced loss `()`.

    Raises:
        TypeError: a tensor has elements of the wrong type.
        ValueError: a target, a length or another argument is invalid; the message contains the
            item, the value and the rule.
        RuntimeError: as for `ctc_wgpu.ctc_loss`; or a second or forward-mode derivative was
            requested.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f'reduction={reduction!r}: must be "none", "mean" or "sum"')
    if not isinstance(log_probs, torch.Tensor):
        raise TypeError(
            f"log_probs is of {type(log_probs).__name__}: must be a dense torch.Tensor"
        )
    log_probs = _tensor("log_probs", log_probs)
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs is of {log_probs.dtype}: must contain floating-point numbers")
    if log_probs.dim() not in (2, 3):
        raise ValueError(
            f"log_probs has shape {tuple(log_probs.shape)}: must be (T, N, C), or (T, C) for one "
            "item"
        )
    targets = _tensor("targets", targets)
    input_lengths = _tensor("input_lengths", input_lengths)
    target_lengths = _tensor("target_lengths", target_lengths)
    one_item = log_probs.dim() == 2
    if one_item:
        log_probs = log_probs.unsqueeze(1)
        if targets.dim() > 1 and targets.shape[0] != 1:
            raise ValueError(
                f"targets has shape {tuple(targets.shape)}: must be (S,) if log_probs is (T, C)"
            )
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
        conventions=CONVENTIONS,
    )
    if one_item:
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
    conventions: Conventions,
) -> torch.Tensor:
    """Computes losses `[N]` with any options, differentiable with respect to the logits."""
    if logits.is_meta:  # Such a tensor has a shape only.
        return logits.new_empty(logits.shape[0 if layout == "ntc" else 1], dtype=torch.float32)
    tensors = logits, labels, logit_lengths, label_lengths
    with_grad = _requires_grad(logits)
    loss, _ = _Loss.apply(*tensors, options, layout, backend, conventions, with_grad)
    return loss


class _Loss(torch.autograd.Function):
    """The losses, and the gradient of each with respect to the logits of its item.

    The gradient is empty unless `with_grad`.
    """

    @staticmethod
    def forward(
        logits,
        labels,
        logit_lengths,
        label_lengths,
        options,
        layout,
        backend,
        conventions,
        with_grad,
    ):
        loss, grad, _ = compute(
            _host(logits),
            _host(labels),
            options,
            logit_lengths=_host(logit_lengths),
            label_lengths=_host(label_lengths),
            layout=layout,
            backend=backend,
            conventions=conventions,
            grad=with_grad,
        )
        # The conversion to the type of the logits comes after the scaling by the incoming gradient,
        # as AMP's gradient scaling requires for half precision.
        grad = torch.from_numpy(grad).to(logits.device) if with_grad else logits.new_empty(0)
        exact = loss.dtype == np.float64 and logits.dtype == torch.float64
        loss_type = torch.float64 if exact else torch.float32
        return torch.from_numpy(loss).to(logits.device, loss_type), grad

    @staticmethod
    def setup_context(ctx, inputs, output):
        logits, layout, grad = inputs[0], inputs[5], output[1]
        ctx.mark_non_differentiable(grad)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(logits, grad)
        ctx.item_axis = _item_axis(layout)

    @staticmethod
    def backward(ctx, upstream, _):
        logits, grad = ctx.saved_tensors
        if upstream is None:
            return (None,) * 9
        return _Gradient.apply(logits, upstream, grad, ctx.item_axis), *[None] * 8

    @staticmethod
    def jvp(ctx, *_):
        raise RuntimeError(FIRST_ONLY)

    @staticmethod
    def vmap(
        info,
        in_dims,
        logits,
        labels,
        logit_lengths,
        label_lengths,
        options,
        layout,
        backend,
        conventions,
        with_grad,
    ):
        """Computes a batch of batches as one batch of more items, since items are independent."""
        tensors = logits, labels, logit_lengths, label_lengths
        batches = [
            tensor.expand(info.batch_size, *tensor.shape)
            if axis is None
            else tensor.movedim(axis, 0)
            for tensor, axis in zip(tensors, in_dims, strict=False)
        ]
        # `with_grad` was computed for a batched tensor, which does not report that the tensor that
        # it wraps requires a gradient. `batches` contains the wrapped tensors.
        with_grad = with_grad or _requires_grad(batches[0])
        rest = options, layout, backend, conventions, with_grad
        if batches[1].dim() == 2:
            # Concatenated labels, whose number differs between batches.
            results = [_Loss.apply(*batch, *rest) for batch in zip(*batches, strict=True)]
            return tuple(map(torch.stack, zip(*results, strict=True))), (0, 0)
        axis = _item_axis(layout)
        sizes = info.batch_size, batches[0].shape[axis + 1]
        logits = batches[0].movedim(0, axis).flatten(axis, axis + 1)
        loss, grad = _Loss.apply(logits, *(x.flatten(0, 1) for x in batches[1:]), *rest)
        if with_grad:
            grad = grad.unflatten(axis, sizes)
        return (loss.unflatten(0, sizes), grad), (0, axis if with_grad else None)


class _Gradient(torch.autograd.Function):
    """The gradient of each item, scaled by the incoming gradient.

    It takes the logits as an argument, because the gradient depends on them. A second derivative
    with respect to them therefore reaches `backward`, which raises.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(logits, upstream, grad, item_axis):
        weights = upstream[None, :, None] if item_axis else upstream[:, None, None]
        # An item of weight 0 has a gradient of 0, even where its own is NaN.
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
    """Calls a function of numpy arrays that returns two arrays, int64 and float32, of `shapes`."""
    if any(x.is_meta for x in tensors):  # Such a tensor has a shape only.
        dtypes = torch.int64, torch.float32
        pairs = zip(shapes, dtypes, strict=True)
        return [torch.empty(shape, dtype=dtype, device="meta") for shape, dtype in pairs]
    results = function(*map(_host, tensors))
    return [torch.from_numpy(part).to(tensors[0].device) for part in results]


def _host(value: Any) -> Any:
    """Converts a tensor to a numpy array, and returns anything else unchanged."""
    if not isinstance(value, torch.Tensor):
        return value
    return numpy_compatible(value.detach().cpu()).numpy()


def _tensor(name: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_nested:
            kind = "nested" if value.is_nested else value.layout
            raise TypeError(f"{name} is of {kind}: must be a dense torch.Tensor")
        return value
    values = array(name, value)
    # PyTorch supports neither another byte order nor negative strides.
    return torch.from_numpy(np.array(values, values.dtype.newbyteorder("="), order="C"))


def _requires_grad(tensor: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and tensor.requires_grad


def _item_axis(layout: str) -> int:
    return 0 if layout == "ntc" else 1
