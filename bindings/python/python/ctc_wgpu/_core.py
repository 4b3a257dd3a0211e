"""The backends of the native module, and calls to them that Ctrl-C can interrupt.

All public functions that compute call this module.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import _native
from ._arrays import Conventions, ErrorsFor, Substitutes, floats, integers, weights_of
from ._native import Options
from ._types import Array

T = TypeVar("T")

_backends: dict[str, _native.Backend] = {}
_lock = threading.Lock()
#: The limits of pipelines and shapes, if the user has set them.
_limits: tuple[int, int] | None = None


def backend_of(name: str) -> _native.Backend:
    """Returns the backend of this name, and creates it on the first call."""
    if not isinstance(name, str):
        raise TypeError(f"backend={name!r}: must be a string")
    found = _backends.get(name)
    if found is None:
        with _lock:
            found = _backends.get(name)
            if found is None:
                found = _native.Backend("cpu" if name == "auto" and _beside_tensorflow() else name)
                if _limits is not None:
                    found.set_cache_limits(*_limits)
                _backends[name] = found
    return found


def limit_caches(pipelines: int, shapes: int) -> None:
    """Sets the cache limits of all backends, including those created later."""
    global _limits
    with _lock:
        _limits = pipelines, shapes
        for native in _backends.values():
            native.set_cache_limits(pipelines, shapes)


def _beside_tensorflow() -> bool:
    """Returns whether a search for GPUs could abort the process.

    TensorFlow exports an LLVM that replaces the one that Mesa's drivers bring, and the search for
    GPUs loads every installed driver.
    """
    return sys.platform == "linux" and "tensorflow" in sys.modules


def _reset_after_fork() -> None:
    """Abandons the backends in a forked process, which has neither their threads nor devices."""
    global _lock
    _lock = threading.Lock()
    for native in _backends.values():
        native.abandon()
    _backends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


#: The arguments of `Options`. The others of a public function are `backend`, lengths and arrays.
OPTIONS = (
    "blank",
    "input",
    "epsilon",
    "reduction",
    "impossible",
    "blank_in_labels",
    "repeated_labels",
    "repeated_outputs",
)


def options_of(arguments: dict[str, Any]) -> Options:
    """Returns the options among the arguments of a function."""
    return Options(**{name: arguments[name] for name in OPTIONS if name in arguments})


class SparseLabels(NamedTuple):
    """Labels as a sparse tensor.

    `indices`, integers `[ΣL, 2]`, are the item and the position of each label, sorted by item, then
    position. `values`, integers `[ΣL]`, are the labels. `shape` is the dense shape `(N, Lmax)`.
    """

    indices: Array
    values: Array
    shape: tuple[int, int]


#: Calls of fewer operations take some milliseconds at most, and need no thread of their own.
LONG = 1 << 22
#: An operation of the float64 reference or of a decoder takes about as long as this many operations
#: of the float32 loss.
SLOW = 1 << 6


def interruptible(function: Callable[[], T], operations: int) -> T:
    """Calls `function` and returns its result.

    In the main thread, where Python handles signals, a long call runs in another thread, so that
    Ctrl-C raises `KeyboardInterrupt` at once. The call then finishes in the background.
    """
    if operations < LONG or threading.current_thread() is not threading.main_thread():
        return function()
    executor = ThreadPoolExecutor(1, "ctc-wgpu call")
    future = executor.submit(function)
    executor.shutdown(wait=False)
    # On Windows a signal does not end a wait without a timeout.
    while not wait([future], 0.1).done:
        pass
    return future.result()


def compute(
    logits: Any,
    labels: Any,
    options: Options,
    *,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    logit_paddings: Any = None,
    label_paddings: Any = None,
    weights: Any = None,
    layout: str = "ntc",
    backend: str = "auto",
    conventions: Conventions = Conventions(),
    grad: bool,
) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Computes the losses `[N]`, the gradient in the shape of the logits, and the reduced loss.

    The gradient is None unless `grad`, and the reduced loss is None without a reduction. The arrays
    are float64 if `backend` is "reference", else float32.
    """
    reference = backend == "reference"
    with ErrorsFor(conventions) as substitutes:
        values, time_major, swapped = _contiguous(
            logits, layout, np.float64 if reference else np.float32
        )
        native_labels = label_arrays(
            labels, label_lengths, label_paddings, substitutes, conventions.whole_floats
        )
        frames = _frames(logit_lengths, logit_paddings, substitutes, conventions.whole_floats)
        if weights is not None:
            weights = weights_of(weights)
        loss, gradient, reduced = _call(
            backend,
            lambda native: native.compute(
                values,
                native_labels,
                options,
                time_major=time_major,
                frames=frames,
                weights=weights,
                grad=grad,
            ),
            _operations(values, native_labels) * (SLOW if reference else 1),
        )
    if swapped and gradient is not None:
        gradient = gradient.transpose(1, 0, 2)
    warn_of_probability_above_1("loss", -1, loss, stacklevel=4)
    return loss, gradient, reduced


def warn_of_probability_above_1(
    name: str, sign: int, values: np.ndarray, *, rounding: float = 0, stacklevel: int
) -> None:
    """Warns if one of `values`, which are `sign`·ln p, is of a probability p above 1."""
    wrong = np.flatnonzero(sign * values > rounding)
    if wrong.size > 0:
        item = int(wrong[0])
        side = "above" if sign > 0 else "below"
        message = (
            f"item {item} has a {name} of {values[item]:.6g}, {side} 0: its probabilities sum to "
            "more than 1. Were raw scores passed as log-probabilities, without log_softmax?"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)


def decode(
    decoder: Callable[..., T],
    logits: Any,
    options: Options,
    *labels: tuple[Any, ...],
    logit_lengths: Any,
    layout: str,
    backend: str,
    substitutes: Substitutes,
    **arguments: Any,
) -> T:
    """Calls `decoder`, a function of the native module for alignment or decoding."""
    values, time_major, _ = _contiguous(logits, layout, np.float32)
    frames = _frames(logit_lengths, None, substitutes)
    return _call(
        backend,
        lambda native: decoder(
            native, values, *labels, options, time_major=time_major, frames=frames, **arguments
        ),
        _operations(values, *labels) * SLOW * arguments.get("width", 1),
    )


def _call(backend: str, function: Callable[[_native.Backend], T], operations: int) -> T:
    """Calls `function` with the backend. A lost GPU is opened again by the next call."""
    native = backend_of(backend)
    try:
        return interruptible(lambda: function(native), operations)
    except _native.DeviceLost:
        _backends.pop(backend, None)
        raise


def _operations(values: np.ndarray, *labels: tuple[Any, ...]) -> int:
    """Estimates the operations of a call: one for each class and label at each frame."""
    first, second, classes = values.shape
    for arrays in labels:
        classes += arrays[0].shape[-1]
    return int(first * second * classes)


def _contiguous(logits: Any, layout: str, dtype: Any) -> tuple[np.ndarray, bool, bool]:
    """Converts the logits to a contiguous array.

    Returns it, whether its first axis is time, and whether its first two axes are swapped in
    comparison with `logits`.
    """
    if layout not in ("ntc", "tnc"):
        raise ValueError(f'layout={layout!r}: must be "ntc" or "tnc"')
    values = floats("logits", logits, None, 3)
    time_major = layout == "tnc"
    # A view of the other layout, such as the result of PyTorch's `transpose(0, 1)`, needs no copy.
    other = values.transpose(1, 0, 2)
    swapped = not values.flags.c_contiguous and other.flags.c_contiguous
    if swapped:
        values, time_major = other, not time_major
    return np.require(values, dtype, ("C", "A")), time_major, swapped


def _frames(
    lengths: Any, paddings: Any, substitutes: Substitutes, whole_floats: bool = False
) -> np.ndarray | None:
    if paddings is not None:
        return floats("logit_paddings", paddings, np.float32, 2)
    if lengths is None:
        return None
    return integers("logit_lengths", lengths, 1, substitutes, whole_floats=whole_floats)


def label_arrays(
    labels: Any, lengths: Any, paddings: Any, substitutes: Substitutes, whole_floats: bool = False
) -> tuple[Any, ...]:
    """Converts labels to one of the tuples that the native module takes."""
    if isinstance(labels, SparseLabels):
        if lengths is not None:
            raise ValueError("label_lengths must be None for sparse labels, which imply them")
        indices = integers("sparse indices", labels.indices, 2, substitutes, np.int64)
        shape = integers("sparse shape", labels.shape, 1, substitutes, np.int64).tolist()
        if len(shape) != 2:
            raise ValueError(f"sparse shape is {tuple(shape)}: must be (N, Lmax)")
        rows, columns = shape
        if min(rows, columns) < 0:
            raise ValueError(f"sparse shape is {(rows, columns)}: must not be negative")
        return indices, integers("sparse values", labels.values, 1, substitutes), (rows, columns)
    labels = integers("labels", labels, None, substitutes, whole_floats=whole_floats)
    if labels.ndim == 1 and lengths is None:
        raise ValueError("concatenated labels, [ΣL], require label_lengths")
    if labels.ndim not in (1, 2):
        raise ValueError(f"labels has shape {labels.shape}: must be [N, Lmax] or [ΣL]")
    if paddings is not None:
        return labels, floats("label_paddings", paddings, np.float32, 2)
    if lengths is None:
        return labels, np.full(labels.shape[0], labels.shape[1], np.int32)
    return labels, integers("label_lengths", lengths, 1, substitutes, whole_floats=whole_floats)
