"""Arrays of any kind made what the native module takes, and its backends kept. All adapters end here."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, NamedTuple

import numpy as np

from . import _native
from ._native import Options

INT32 = np.iinfo(np.int32)

_backends: dict[str, _native.Backend] = {}
_making = threading.Lock()


def backend_of(name: str) -> _native.Backend:
    """The backend of this name, which is made once: a GPU's compiles its kernels."""
    found = _backends.get(name)
    if found is None:
        with _making:
            found = _backends.get(name)
            if found is None:
                found = _backends[name] = _native.Backend("cpu" if name == "auto" and _beside_tensorflow() else name)
    return found


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
    grad: bool,
) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Losses `[N]`, the gradient in the shape of the logits (None unless asked for), and the reduced loss (None without a
    reduction). In float64 where `backend` is "reference", else in float32.
    """
    dtype = np.float64 if backend == "reference" else np.float32
    values, time_major, swapped = _ordered(logits, layout, dtype)
    if weights is not None:
        weights = floats("weights", weights, np.float32, 1)
    try:
        loss, gradient, reduced = backend_of(backend).compute(
            values,
            label_arrays(labels, label_lengths, label_paddings),
            options,
            time_major=time_major,
            frames=_frames(logit_lengths, logit_paddings),
            weights=weights,
            grad=grad,
        )
    except _native.DeviceLost:
        _backends.pop(backend, None)
        raise
    if swapped and gradient is not None:
        gradient = gradient.transpose(1, 0, 2)
    return loss, gradient, reduced


def read(reader: Any, logits: Any, options: Options, *labels: tuple[Any, ...], logit_lengths: Any, layout: str, **choices: Any) -> Any:
    """What one of the native module's readers finds, on the threads of the CPU's backend."""
    values, time_major, _ = _ordered(logits, layout, np.float32)
    frames = _frames(logit_lengths, None)
    return reader(backend_of("cpu"), values, *labels, options, time_major=time_major, frames=frames, **choices)


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


def _frames(lengths: Any, paddings: Any) -> np.ndarray | None:
    if paddings is not None:
        return floats("logit_paddings", paddings, np.float32, 2)
    return None if lengths is None else integers("logit_lengths", lengths, 1)


def label_arrays(labels: Any, lengths: Any, paddings: Any = None) -> tuple[Any, ...]:
    """Labels as the native module takes them."""
    if isinstance(labels, SparseLabels):
        indices = integers("sparse indices", labels.indices, 2, np.int64)
        rows, columns = labels.shape
        return indices, integers("sparse values", labels.values, 1), (int(rows), int(columns))
    labels = integers("labels", labels, None)
    if labels.ndim == 1 and lengths is None:
        raise ValueError("labels that are one after the other, [ΣL], need label_lengths")
    if labels.ndim not in (1, 2):
        raise ValueError(f"labels has shape {labels.shape}: must be [N, Lmax] or [ΣL]")
    if paddings is not None:
        return labels, floats("label_paddings", paddings, np.float32, 2)
    if lengths is None:
        return labels, np.full(labels.shape[0], labels.shape[1], np.int32)
    return labels, integers("label_lengths", lengths, 1)


def array(value: Any) -> np.ndarray:
    """Without a copy where the object has numpy's memory, or a protocol to lend its own."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError):
            pass  # A device's memory, or a type that numpy lacks: np.asarray converts, or says better what is wrong.
    return np.asarray(value)


def floats(name: str, value: Any, dtype: Any, ndim: int) -> np.ndarray:
    """Any floating-point numbers, ml_dtypes' bfloat16 among them; of `dtype`, contiguous and aligned, if one is given."""
    values = array(value)
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise TypeError(f"{name} is an array of {values.dtype}: must be of floating-point numbers")
    _rank(name, values, ndim)
    return values if dtype is None else np.require(values, dtype, ("C", "A"))


def integers(name: str, value: Any, ndim: int | None, dtype: Any = np.int32) -> np.ndarray:
    """Any integers. What 32 bits do not hold becomes the largest or smallest that they do, which is no length and no class
    either; in padding it may stand."""
    values = array(value)
    if values.dtype.kind not in "iu":
        if values.size:
            raise TypeError(f"{name} is an array of {values.dtype}: must be of integers")
        values = values.astype(dtype)  # An empty list has no type of its own.
    if ndim is not None:
        _rank(name, values, ndim)
    if dtype is np.int32 and values.dtype.itemsize > 2 and values.dtype != np.int32:
        values = np.minimum(values, values.dtype.type(INT32.max))
        if values.dtype.kind == "i":
            values = np.maximum(values, values.dtype.type(INT32.min))
    return np.require(values, dtype, ("C", "A"))


def _rank(name: str, values: np.ndarray, ndim: int) -> None:
    if values.ndim != ndim:
        raise ValueError(f"{name} has shape {values.shape}: must have {ndim} {'axis' if ndim == 1 else 'axes'}")
