"""The native module's backends, kept, and its calls, which Ctrl-C interrupts. All adapters end here."""

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
from ._arrays import Caller, StandIns, ErrorsFor, floats, integers, weights_of
from ._native import Options

T = TypeVar("T")

_backends: dict[str, _native.Backend] = {}
_making = threading.Lock()
#: Of pipelines and sessions, where the caller has set them.
_limits: tuple[int, int] | None = None


def backend_of(name: str) -> _native.Backend:
    """The backend of this name, which is made once: a GPU's compiles its kernels."""
    if not isinstance(name, str):
        raise TypeError(f"backend={name!r}: must be a string")
    found = _backends.get(name)
    if found is None:
        with _making:
            found = _backends.get(name)
            if found is None:
                found = _native.Backend("cpu" if name == "auto" and _beside_tensorflow() else name)
                if _limits is not None:
                    found.set_cache_limits(*_limits)
                _backends[name] = found
    return found


def limit_caches(pipelines: int, sessions: int) -> None:
    """Of all backends, and of those that are made later."""
    global _limits
    with _making:
        _limits = pipelines, sessions
        for place in _backends.values():
            place.set_cache_limits(pipelines, sessions)


def _beside_tensorflow() -> bool:
    """Whether to look for GPUs could end the process: TensorFlow exports an LLVM that takes the place of the one which Mesa's drivers bring,
    and what looks for GPUs loads every driver that is installed."""
    return sys.platform == "linux" and "tensorflow" in sys.modules


def _begin_anew() -> None:
    """In a process that was forked: threads and devices have stayed behind."""
    global _making
    _making = threading.Lock()
    for left in _backends.values():
        left.abandon()
    _backends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


#: What `Options` takes. `backend`, lengths and arrays are not of it.
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
    """The options among a function's arguments."""
    return Options(**{name: arguments[name] for name in OPTIONS if name in arguments})


class SparseLabels(NamedTuple):
    """Labels as a sparse tensor: `[item, position]` of each value in order, the values, and the dense shape `(N, Lmax)`."""

    indices: Any
    values: Any
    shape: tuple[int, int]


#: Calls of fewer steps take some milliseconds at most, and are not worth a thread.
LONG = 1 << 22
#: How many of those steps one takes in the float64 reference and the readers, roughly.
SLOW = 1 << 6


def interruptible(work: Callable[[], T], steps: int) -> T:
    """What `work` returns. In the main thread, where Python handles signals, long work gets a thread of its own, so that
    Ctrl-C raises `KeyboardInterrupt` at once; what was begun is then finished unseen."""
    if steps < LONG or threading.current_thread() is not threading.main_thread():
        return work()
    executor = ThreadPoolExecutor(1, "ctc-wgpu call")
    answer = executor.submit(work)
    executor.shutdown(wait=False)
    # On Windows a wait without an end would not hear of it.
    while not wait([answer], 0.1).done:
        pass
    return answer.result()


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
    caller: Caller = Caller(),
    grad: bool,
) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Losses `[N]`, the gradient in the shape of the logits (None unless asked for), and the reduced loss (None without a
    reduction). In float64 where `backend` is "reference", else in float32.
    """
    reference = backend == "reference"
    with ErrorsFor(caller) as stand_ins:
        values, time_major, swapped = _ordered(logits, layout, np.float64 if reference else np.float32)
        given = label_arrays(labels, label_lengths, label_paddings, stand_ins, caller.whole_floats)
        frames = _frames(logit_lengths, logit_paddings, stand_ins, caller.whole_floats)
        if weights is not None:
            weights = weights_of(weights)
        place = backend_of(backend)
        try:
            loss, gradient, reduced = interruptible(
                lambda: place.compute(values, given, options, time_major=time_major, frames=frames, weights=weights, grad=grad),
                _steps(values, given) * (SLOW if reference else 1),
            )
        except _native.DeviceLost:
            _backends.pop(backend, None)
            raise
    if swapped and gradient is not None:
        gradient = gradient.transpose(1, 0, 2)
    warn_below_0("loss", loss, stacklevel=4)
    return loss, gradient, reduced


def warn_below_0(name: str, scores: np.ndarray, *, rounding: float = 0, stacklevel: int) -> None:
    """A loss or score is −ln of a probability: below 0 the input was no distribution."""
    below = np.flatnonzero(scores < -rounding)
    if below.size > 0:
        item = int(below[0])
        message = (
            f"item {item} has a {name} of {scores[item]:.6g}, below 0: its probabilities sum to more than 1. "
            "Were raw scores given as log-probabilities, without log_softmax?"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)


def read(
    reader: Any,
    logits: Any,
    options: Options,
    *labels: tuple[Any, ...],
    logit_lengths: Any,
    layout: str,
    stand_ins: StandIns,
    **choices: Any,
) -> Any:
    """What one of the native module's readers finds, on the threads of the CPU's backend."""
    values, time_major, _ = _ordered(logits, layout, np.float32)
    frames = _frames(logit_lengths, None, stand_ins)
    place = backend_of("cpu")
    return interruptible(
        lambda: reader(place, values, *labels, options, time_major=time_major, frames=frames, **choices),
        _steps(values, *labels) * SLOW * choices.get("width", 1),
    )


def _steps(values: np.ndarray, *labels: tuple[Any, ...]) -> int:
    """How many numbers a call makes, roughly: some for each class of a frame, and some for each label."""
    first, second, classes = values.shape
    for given in labels:
        classes += given[0].shape[-1]
    return int(first * second * classes)


def _ordered(logits: Any, layout: str, dtype: Any) -> tuple[np.ndarray, bool, bool]:
    """The logits, contiguous; whether the frames come first; and whether that is not so in what was given."""
    if layout not in ("ntc", "tnc"):
        raise ValueError(f'layout={layout!r}: must be "ntc" or "tnc"')
    values = floats("logits", logits, None, 3)
    time_major = layout == "tnc"
    # A view of the other layout, as PyTorch's `transpose(0, 1)` makes it, need not be copied.
    other = values.transpose(1, 0, 2)
    swapped = not values.flags.c_contiguous and other.flags.c_contiguous
    if swapped:
        values, time_major = other, not time_major
    return np.require(values, dtype, ("C", "A")), time_major, swapped


def _frames(lengths: Any, paddings: Any, stand_ins: StandIns, whole_floats: bool = False) -> np.ndarray | None:
    if paddings is not None:
        return floats("logit_paddings", paddings, np.float32, 2)
    return None if lengths is None else integers("logit_lengths", lengths, 1, stand_ins, whole_floats=whole_floats)


def label_arrays(
    labels: Any, lengths: Any, paddings: Any, stand_ins: StandIns, whole_floats: bool = False
) -> tuple[Any, ...]:
    """Labels as the native module takes them."""
    if isinstance(labels, SparseLabels):
        if lengths is not None:
            raise ValueError("label_lengths must be None where labels are sparse, which have their own")
        indices = integers("sparse indices", labels.indices, 2, stand_ins, np.int64)
        shape = integers("sparse shape", labels.shape, 1, stand_ins, np.int64).tolist()
        if len(shape) != 2:
            raise ValueError(f"sparse shape is {tuple(shape)}: must be (N, Lmax)")
        rows, columns = shape
        if min(rows, columns) < 0:
            raise ValueError(f"sparse shape is {(rows, columns)}: must not be negative")
        return indices, integers("sparse values", labels.values, 1, stand_ins), (rows, columns)
    labels = integers("labels", labels, None, stand_ins, whole_floats=whole_floats)
    if labels.ndim == 1 and lengths is None:
        raise ValueError("labels that are one after the other, [ΣL], need label_lengths")
    if labels.ndim not in (1, 2):
        raise ValueError(f"labels has shape {labels.shape}: must be [N, Lmax] or [ΣL]")
    if paddings is not None:
        return labels, floats("label_paddings", paddings, np.float32, 2)
    if lengths is None:
        return labels, np.full(labels.shape[0], labels.shape[1], np.int32)
    return labels, integers("label_lengths", lengths, 1, stand_ins, whole_floats=whole_floats)
