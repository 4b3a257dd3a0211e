"""`tf.nn.ctc_loss`, computed by ctc-wgpu.

It runs eagerly and in `tf.function`, on the host. It does not run in XLA (`jit_compile=True`). A
`SavedModel` with the loss runs only in the process that saved it, because its graph refers to a
Python function of that process. Only first derivatives in reverse mode are supported; others are
errors. Losses are float32 for logits of any type; with `backend="reference"`, those of float64
logits are float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ._arrays import Conventions, array, flag, is_float
from ._core import Options, SparseLabels, compute

__all__ = ["ctc_loss"]

#: The conventions of `tf.nn.ctc_loss`.
CONVENTIONS = Conventions((
    ("logit_lengths", "logit_length"),
    ("label_lengths", "label_length"),
    ("blank: ", "blank_index: "),
    ('; blank_in_labels="allow" permits it', "; only dense labels may contain it"),
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
    """Returns the losses `[N]` in nats, like `tf.nn.ctc_loss`, with the same arguments.

    Args:
        labels: integers `[N, Lmax]`, or a `tf.SparseTensor`.
        logits: `[T, N, C]`, or `[N, T, C]` if not `logits_time_major`.
        label_length: `[N]`, the number of labels of each item; None for sparse labels.
        logit_length: `[N]`, the number of valid frames of each item.
        logits_time_major: whether the first axis of the logits is time.
        unique: ignored.
        blank_index: the class of the blank; a negative one counts from the end. The default is 0
            for dense labels; for sparse labels it is required.
        name: the name of the operation.
        backend: as in `ctc_wgpu.ctc_loss`.

    Raises:
        TypeError: a tensor has elements of the wrong type, or is ragged.
        ValueError: `blank_index` is missing; or an argument is invalid, with a message that
            contains the item, the value and the rule. In a graph the latter are
            `tf.errors.InvalidArgumentError`.
    """
    sparse = isinstance(labels, tf.SparseTensor)
    if sparse and blank_index is None:
        raise ValueError("blank_index is required when labels is a SparseTensor")
    options = Options(blank=blank_index or 0, blank_in_labels="reject" if sparse else "allow")
    with tf.name_scope(name or "ctc_loss"):
        if sparse:
            tensors = (labels.indices, labels.values, labels.dense_shape)
        else:
            tensors = (_tensor("labels", labels), _tensor("label_length", label_length))
        return apply(
            _tensor("logits", logits),
            tensors,
            _tensor("logit_length", logit_length),
            options,
            layout="tnc" if flag("logits_time_major", logits_time_major) else "ntc",
            backend=backend,
            conventions=CONVENTIONS,
        )


def _tensor(name: str, value: Any) -> tf.Tensor:
    if value is None:
        raise ValueError(
            f"{name} is required: only label_length may be None, if labels is a SparseTensor"
        )
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"{name} is a {type(value).__name__}: must be a dense tensor, as `to_tensor()` of a "
            "RaggedTensor returns; only labels may be a SparseTensor"
        )
    is_tensor = tf.is_tensor(value) or isinstance(value, tf.Variable)
    return tf.convert_to_tensor(value if is_tensor else array(name, value))


def apply(
    logits: tf.Tensor,
    labels: tuple,
    logit_lengths: tf.Tensor,
    options: Options,
    *,
    layout: str,
    backend: str,
    conventions: Conventions,
) -> tf.Tensor:
    """Computes losses `[N]` with any options, differentiable with respect to the logits.

    `labels` are padded labels and their lengths, or the three tensors of sparse labels.
    """
    if not is_float(np.dtype(logits.dtype.as_numpy_dtype)):
        raise TypeError(
            f"logits is a tensor of {logits.dtype.name}: must contain floating-point numbers"
        )
    # The type of the computation on the host.
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
            conventions=conventions,
            grad=True,
        )
        return loss, grad

    @tf.custom_gradient
    def loss_of(logits):
        tensors = [tf.cast(logits, dtype), logit_lengths, *labels]
        loss, grad = tf.numpy_function(on_host, tensors, [dtype, dtype], stateful=False)
        grad.set_shape(logits.shape)
        loss.set_shape(logits.shape[:1] if layout == "ntc" else logits.shape[1:2])

        def gradient(upstream):
            weights = tf.cast(upstream, dtype)
            if layout == "ntc":
                weights = weights[:, tf.newaxis, tf.newaxis]
            else:
                weights = weights[tf.newaxis, :, tf.newaxis]
            # An item of weight 0 has a gradient of 0, even where its own is NaN.
            weighted = tf.cast(tf.math.multiply_no_nan(grad, weights), logits.dtype)
            return _reject_second_derivative(weighted, logits)

        exact = logits.dtype == tf.float64 == dtype
        return tf.cast(loss, tf.float64 if exact else tf.float32), gradient

    return loss_of(logits)


@tf.custom_gradient
def _reject_second_derivative(grad, logits):
    """Returns `grad`, and makes its derivative with respect to `logits` an error.

    No tape records how `grad` depends on the logits, so that TensorFlow would return 0.
    """

    def reject(*_):
        raise LookupError("ctc_loss of ctc_wgpu supports first derivatives in reverse mode only")

    return tf.identity(grad), reject


def on_host(function: Any, shapes: Any, *tensors: tf.Tensor) -> list[tf.Tensor]:
    """Calls a function of numpy arrays that returns an integer and a float32 array of `shapes`."""
    results = tf.numpy_function(function, tensors, [tf.int64, tf.float32], stateful=False)
    for part, shape in zip(results, shapes, strict=True):
        part.set_shape(shape)
    return results
