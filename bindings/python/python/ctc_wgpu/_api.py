"""The loss of numpy arrays and of arrays that export their memory to numpy; the backends."""

from __future__ import annotations

import operator
import sys
from typing import Any

from . import _native
from ._core import OPTIONS, SparseLabels, backend_of, compute, limit_caches, options_of
from ._types import (
    Array,
    BlankInLabels,
    Floats,
    Impossible,
    Input,
    Layout,
    Loss,
    Reduction,
    RepeatedLabels,
    RepeatedOutputs,
)


def ctc_loss(
    logits: Array,
    labels: Array | SparseLabels,
    logit_lengths: Array | None = None,
    label_lengths: Array | None = None,
    *,
    blank: int = 0,
    input: Input = "logits",
    layout: Layout = "ntc",
    reduction: Reduction = "none",
    impossible: Impossible = "inf",
    weights: Array | None = None,
    epsilon: float = 1e-7,
    blank_in_labels: BlankInLabels = "reject",
    repeated_labels: RepeatedLabels = "keep",
    repeated_outputs: RepeatedOutputs = "merge",
    backend: str = "auto",
) -> Loss:
    """Returns the loss −ln p(labels | logits) of each item in nats, `[N]`, or the reduced loss.

    The losses are float32, or float64 with `backend="reference"`; the reduced loss is a float. The
    call takes about half the time of `ctc_loss_and_grad`.

    Arrays may be numpy's or those of any library that exports them by DLPack or `__array__`, with
    any strides, or nested lists. A contiguous float32 or int32 array is not copied. Other Python
    threads run during the call; none of them may write to these arrays. In the main thread, Ctrl-C
    interrupts a long call with `KeyboardInterrupt`, and the computation finishes in the background.

    Args:
        logits: `[N, T, C]`, float16, bfloat16, float32 or float64: logits or (log-)probabilities,
            according to `input`.
        labels: integers `[N, Lmax]`, of which those past an item's length are never read; or
            `[ΣL]`, the labels of all items concatenated; or `SparseLabels`.
        logit_lengths: integers `[N]`, the number of valid frames of each item; None: all frames.
        label_lengths: integers `[N]`, the number of labels of each item; None: every row is full.
            They are required for concatenated labels, and must be None for `SparseLabels`.
        blank: the class of the blank; a negative one counts from the end.
        input: what `logits` contains. "logits": unnormalised scores, to which the softmax is
            applied internally; "log_probs": the result of a log-softmax, with PyTorch's gradient;
            "log_probs_exact": the same with the true derivative; "probs": probabilities, to each of
            which `epsilon` is added, as Keras's `ctc_batch_cost` does.
        layout: "ntc", or "tnc" for `[T, N, C]`.
        reduction: "none", "sum" (Σ w·loss), "mean_batch" (Σ w·loss / N), "mean_label"
            (Σ w·loss/max(L, 1) / N, PyTorch's mean), "mean_volume" (Σ w·loss / ΣL) or
            "mean_weighted" (Σ w·loss / Σw), where w is the weight of an item, and L its number of
            labels.
        impossible: the result of an item without a valid alignment: "inf", a loss of +inf; "zero",
            a loss of 0; "error", a `ValueError`. The gradient of such an item is 0.
        weights: floats `[N]`, one weight per item. They apply to the reduced loss and to the
            gradient; the losses of the items are not weighted.
        epsilon: the number added to each probability with `input="probs"`.
        blank_in_labels: "reject": a blank among the labels is a `ValueError`; "allow": it is a
            label like any other, as in PyTorch.
        repeated_labels: "keep"; or "collapse": equal neighbouring labels become one.
        repeated_outputs: "merge": equal neighbouring outputs are one label; "distinct": each output
            that is not a blank is a label of its own.
        backend: the device that computes; see `backend_name`.

    Raises:
        TypeError: an array has elements of the wrong type.
        ValueError: an argument is invalid; the message contains the item, the value and the rule.
            Or an item has no valid alignment and `impossible` is "error".
        RuntimeError: no GPU is available, or the GPU failed; `DeviceLost` if it was lost.
    """
    return _compute(locals(), grad=False)[0]


def ctc_loss_and_grad(
    logits: Array,
    labels: Array | SparseLabels,
    logit_lengths: Array | None = None,
    label_lengths: Array | None = None,
    *,
    blank: int = 0,
    input: Input = "logits",
    layout: Layout = "ntc",
    reduction: Reduction = "none",
    impossible: Impossible = "inf",
    weights: Array | None = None,
    epsilon: float = 1e-7,
    blank_in_labels: BlankInLabels = "reject",
    repeated_labels: RepeatedLabels = "keep",
    repeated_outputs: RepeatedOutputs = "merge",
    backend: str = "auto",
) -> tuple[Loss, Floats]:
    """Returns the result of `ctc_loss` and the gradient, which has the shape of `logits`.

    The gradient is the derivative of the reduced loss, or of Σ w·loss without a reduction. It is
    float32, or float64 with `backend="reference"`, and exactly 0 in the padding. Arguments and
    errors are those of `ctc_loss`.
    """
    return _compute(locals(), grad=True)


def _compute(arguments: dict[str, Any], grad: bool) -> tuple[Any, Any]:
    """Computes with the arguments of one of the functions above.

    Returns the losses or the reduced loss, and the gradient.
    """
    options = options_of(arguments)
    others = {name: value for name, value in arguments.items() if name not in OPTIONS}
    logits, labels = others.pop("logits"), others.pop("labels")
    loss, gradient, reduced = compute(logits, labels, options, **others, grad=grad)
    return (loss if reduced is None else reduced), gradient


def adapters() -> list[dict[str, str]]:
    """Returns the GPUs and software adapters of this machine, the best first.

    Each is a dictionary with the keys `name`, `api`, `kind` and `driver`. `kind` is for example
    "DiscreteGpu", or "Cpu" for a software driver.
    """
    return _native.adapters()


def backend_name(backend: str = "auto") -> str:
    """Returns a description of the device that computes a call with this `backend`.

    Args:
        backend: one of

            - "auto": the best GPU, or the CPU if there is none. On Linux it is the CPU if
              TensorFlow was imported before the first call, because searching for GPUs could then
              abort the process.
            - "gpu": the best adapter, which may be a software driver.
            - "gpu:NAME": the best adapter whose name contains NAME, ignoring case.
            - "cpu": the CPU backend.
            - "reference": the textbook algorithm in float64, which is slow and returns float64.

    Raises:
        TypeError: `backend` is not a string.
        ValueError: `backend` is not one of these.
        RuntimeError: no such GPU is available.
    """
    return str(backend_of(backend))


def set_cache_limits(pipelines: int = 128, shapes: int = 4) -> None:
    """Limits what each backend of this process keeps for later batches.

    Releases at once what exceeds a limit, the least recently used first; memory that a call in
    progress uses is released when that call ends. The limits do not change any result. Without
    arguments, restores the defaults.

    Args:
        pipelines: the number of compiled kernels of a GPU, about 0.3 MiB each on a software driver.
            The CPU has none.
        shapes: the number of recent batch shapes whose plan and buffers are kept; simultaneous
            calls count separately. On the CPU it is the number of workspaces that are kept. With 0,
            every call allocates its memory and releases it.

    Raises:
        TypeError: a limit is not an integer.
        ValueError: a limit is negative.
    """
    limits = []
    for name, value in (("pipelines", pipelines), ("shapes", shapes)):
        try:
            limit = operator.index(value)
        except TypeError:
            raise TypeError(f"{name}={value!r}: must be an integer") from None
        if limit < 0:
            raise ValueError(f"{name}={value}: must not be negative")
        limits.append(min(limit, sys.maxsize))
    limit_caches(*limits)
