"""The loss over numpy arrays, and over whatever lends its memory to numpy."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from . import _native
from ._core import OPTIONS, backend_of, compute, limit_caches, options_of


def ctc_loss(
    logits: Any,
    labels: Any,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    *,
    blank: int = 0,
    input: str = "logits",
    layout: str = "ntc",
    reduction: str = "none",
    impossible: str = "inf",
    weights: Any = None,
    epsilon: float = 1e-7,
    blank_in_labels: str = "reject",
    repeated_labels: str = "keep",
    repeated_outputs: str = "merge",
    backend: str = "auto",
) -> Any:
    """−ln p(labels given logits) of each item in nats, `[N]`, or the one number that `reduction` makes of them.

    About half the work of `ctc_loss_and_grad`. Arrays are numpy's or of any library that lends them by DLPack or
    `__array__`, of any strides. A contiguous float32 or int32 one is not copied; nobody may write to it during the call,
    which lets other threads of Python run. A long call in the main thread is interrupted by Ctrl-C, and finishes unseen.

    Args:
        logits: `[N, T, C]`, float16, bfloat16, float32 or float64; what it holds is for `input` to say.
        labels: integers `[N, Lmax]`, of which those past an item's length are never looked at; or `[ΣL]`, one item's after
            the other's; or `SparseLabels`.
        logit_lengths: `[N]`, how many frames of each item count; None: all.
        label_lengths: `[N]`, how many labels each item has; None: all of each row.
        blank: the blank's class; a negative one is counted from the end.
        input: "logits": any scores, the softmax is taken inside; "log_probs": after a log-softmax, with PyTorch's gradient;
            "log_probs_exact": the same with the true derivative; "probs": probabilities, to each of which `epsilon` is
            added, as Keras's `ctc_batch_cost` does.
        layout: "ntc", or "tnc" for `[T, N, C]`.
        reduction: "none", or with the weights w: "sum" (Σ w·loss), "mean_batch" (that over N), "mean_label"
            (Σ w·loss/max(L, 1) / N, PyTorch's mean), "mean_volume" (Σ w·loss / ΣL), "mean_weighted" (Σ w·loss / Σw).
        impossible: what an item without an alignment is given: "inf", a loss of +inf; "zero"; "error", a `ValueError`. Its
            gradient is 0.
        weights: `[N]`, one a item. They count in a reduction and in the gradient; losses are not weighted.
        epsilon: for `input="probs"`.
        blank_in_labels: "reject": a `ValueError`; "allow": a label like any other, as PyTorch has it.
        repeated_labels: "keep", or "collapse": equal neighbours among an item's labels become one.
        repeated_outputs: "merge", or "distinct": each output is a label of its own.
        backend: "auto", the best GPU or else the CPU, and on Linux the CPU if TensorFlow was imported before; "gpu", the best adapter, be it a software driver; "gpu:NAME", the first whose name
            contains that; "cpu"; "reference", the textbook in float64, slow, with an answer in float64.

    Raises:
        TypeError: an array is not of the kind of numbers that it must be.
        ValueError: a rule is broken; the message names item, value and rule. Nothing was computed.
        RuntimeError: there is no GPU, or it fails.
    """
    return _answer(locals(), grad=False)[0]


def ctc_loss_and_grad(
    logits: Any,
    labels: Any,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    *,
    blank: int = 0,
    input: str = "logits",
    layout: str = "ntc",
    reduction: str = "none",
    impossible: str = "inf",
    weights: Any = None,
    epsilon: float = 1e-7,
    blank_in_labels: str = "reject",
    repeated_labels: str = "keep",
    repeated_outputs: str = "merge",
    backend: str = "auto",
) -> tuple[Any, np.ndarray]:
    """What `ctc_loss` gives, and the gradient in the shape of the logits: of Σ weight·loss, or of the reduced number.

    float32, or float64 of the reference. In the padding it is exactly 0. Arguments and errors as of `ctc_loss`.
    """
    return _answer(locals(), grad=True)


def _answer(arguments: dict[str, Any], grad: bool) -> tuple[Any, Any]:
    """Of all that was given to one of the functions above: the losses or the one number, and the gradient."""
    options = options_of(arguments)
    rest = {name: value for name, value in arguments.items() if name not in OPTIONS}
    loss, gradient, reduced = compute(rest.pop("logits"), rest.pop("labels"), options, **rest, grad=grad)
    return (loss if reduced is None else reduced), gradient


def adapters() -> list[dict[str, str]]:
    """The GPUs of this machine and what stands for one, the best first: `name`, `api`, `kind`, `driver` of each."""
    return _native.adapters()


def backend_name(backend: str = "auto") -> str:
    """Where a call with this `backend` computes, in words."""
    return str(backend_of(backend))


def set_cache_limits(pipelines: int = 128, sessions: int = 4) -> None:
    """Bounds what each backend keeps for later batches, from now on and in the whole process.

    What exceeds a bound is released at once, the least recently used first; what calls in progress
    use is released when they end. No bound changes a result. Without arguments it sets the defaults.

    Args:
        pipelines: compiled kernels of a GPU, about 0.3 MiB each on a software driver. The CPU has
            none.
        sessions: buffers and workspaces, one per recent shape and per simultaneous call; on the
            CPU, the tables of a call. With 0 every call allocates its memory and releases it.

    Raises:
        TypeError: a bound is not an integer.
        ValueError: a bound is negative.
    """
    bounds = []
    for name, value in (("pipelines", pipelines), ("sessions", sessions)):
        try:
            bound = operator.index(value)
        except TypeError:
            raise TypeError(f"{name}={value!r}: must be an integer") from None
        if bound < 0:
            raise ValueError(f"{name}={value}: must not be negative")
        bounds.append(min(bound, sys.maxsize))
    limit_caches(*bounds)
