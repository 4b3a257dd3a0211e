"""`tf.nn.ctc_loss`, computed by ctc-wgpu.

It runs eagerly and in `tf.function`, on the host, but not in XLA (`jit_compile=True`) and not in a `SavedModel`, whose graph cannot hold a
function of Python. It has first derivatives, in reverse mode, only: another one is an error. A loss is float32 whatever the logits
are; or float64, of float64 by `backend="reference"`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ._arrays import Caller, array, flag, is_float
from ._core import Options, SparseLabels, compute

__all__ = ["ctc_loss"]

#: What `tf.nn.ctc_loss` calls differently.
CALLER = Caller((
    ("logit_lengths", "logit_length"),
    ("label_lengths", "label_length"),
    ("blank: ", "blank_index: "),
    ('; blank_in_labels="allow" permits it', "; among dense labels it may stand"),
))


def ctc_loss(
    labels: Any,
    logits: Any,
    label_length: Any,
    logit_length: Any,
    logits_time_major: bool = True,
    unique: Any = None,
    blank_index: int | None = None,
    name: str | None = None,
    *,
    backend: str = "auto",
) -> tf.Tensor:
    """`tf.nn.ctc_loss`: the same arguments and results.

    Args:
        labels: integers `[N, Lmax]`, or a `tf.SparseTensor`.
        logits: `[T, N, C]`, or `[N, T, C]` if not `logits_time_major`.
        label_length: `[N]`; None for sparse labels.
        logit_length: `[N]`.
        logits_time_major: the order of the logits.
        unique: not needed, and not looked at.
        blank_index: the blank's class, a negative one counted from the end; 0 unless given, and it must be given with sparse
            labels.
        name: of the operation.
        backend: as of `ctc_wgpu.ctc_loss`.

    Raises:
        ValueError: `blank_index` is missing; or a rule is broken, with item, value and rule. From a graph the latter come as
            `tf.errors.InvalidArgumentError`.
    """
    sparse = isinstance(labels, tf.SparseTensor)
    if sparse and blank_index is None:
        raise ValueError("blank_index must be given when labels is a SparseTensor")
    options = Options(blank=blank_index or 0, blank_in_labels="reject" if sparse else "allow")
    with tf.name_scope(name or "ctc_loss"):
        if sparse:
            given = (labels.indices, labels.values, labels.dense_shape)
        else:
            given = (_tensor("labels", labels), _tensor("label_length", label_length))
        return apply(
            _tensor("logits", logits),
            given,
            _tensor("logit_length", logit_length),
            options,
            layout="tnc" if flag("logits_time_major", logits_time_major) else "ntc",
            backend=backend,
            caller=CALLER,
        )


def _tensor(name: str, value: Any) -> tf.Tensor:
    if value is None:
        raise ValueError(f"{name} must be given, unless it is label_length and labels is a SparseTensor")
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(f"{name} is a {type(value).__name__}: must be dense, or labels a SparseTensor (`to_tensor()`, `to_sparse()`)")
    return tf.convert_to_tensor(value if tf.is_tensor(value) or isinstance(value, tf.Variable) else array(name, value))


def apply(
    logits: tf.Tensor, labels: tuple, logit_lengths: tf.Tensor, options: Options, *, layout: str, backend: str, caller: Caller
) -> tf.Tensor:
    """Losses `[N]` of any options, differentiable by the logits. `labels` are padded, with their lengths, or sparse."""
    if not is_float(np.dtype(logits.dtype.as_numpy_dtype)):
        raise TypeError(f"logits is a tensor of {logits.dtype.name}: must be of floating-point numbers")
    # What the host computes in.
    dtype = tf.float64 if backend == "reference" else tf.float32

    def on_host(logits, logit_lengths, *labels):
        if len(labels) == 3:
            indices, values, shape = labels
            labels, label_lengths = SparseLabels(indices, values, tuple(shape)), None
        else:
            labels, label_lengths = labels
        loss, grad, _ = compute(
            logits,
            labels,
            options,
            logit_lengths=logit_lengths,
            label_lengths=label_lengths,
            layout=layout,
            backend=backend,
            caller=caller,
            grad=True,
        )
        return loss, grad

    @tf.custom_gradient
    def loss_of(logits):
        loss, grad = tf.numpy_function(on_host, [tf.cast(logits, dtype), logit_lengths, *labels], [dtype, dtype], stateful=False)
        grad.set_shape(logits.shape)
        loss.set_shape(logits.shape[:1] if layout == "ntc" else logits.shape[1:2])

        def gradient(upstream):
            weights = tf.cast(upstream, dtype)
            weights = weights[:, tf.newaxis, tf.newaxis] if layout == "ntc" else weights[tf.newaxis, :, tf.newaxis]
            # Of an item that does not count not even a NaN.
            weighted = tf.cast(tf.math.multiply_no_nan(grad, weights), logits.dtype)
            return _once(weighted, logits)

        return tf.cast(loss, tf.float64 if logits.dtype == tf.float64 == dtype else tf.float32), gradient

    return loss_of(logits)


@tf.custom_gradient
def _once(grad, logits):
    """`grad`, which depends on the logits in a way that no tape sees: a second derivative would be 0 where it must be an error."""

    def refuse(*_):
        raise LookupError("ctc_loss of ctc_wgpu has first derivatives only, in reverse mode")

    return tf.identity(grad), refuse


def on_host(function: Any, shapes: Any, *tensors: tf.Tensor) -> list[tf.Tensor]:
    """Of a function from arrays to arrays of these shapes, the first of integers and the second of float32: its tensors."""
    found = tf.numpy_function(function, tensors, [tf.int64, tf.float32], stateful=False)
    for part, shape in zip(found, shapes, strict=True):
        part.set_shape(shape)
    return found
