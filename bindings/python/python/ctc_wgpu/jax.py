"""`optax.ctc_loss`, computed by ctc-wgpu.

It supports `jit`, `grad`, `vmap`, `pmap` and `shard_map` through `jax.pure_callback`; the arrays of
another device are copied to the host and back. Only first derivatives in reverse mode are
supported; others are errors. Losses are float32 for logits of any type; with `backend="reference"`,
those of float64 logits are float64.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import Conventions, ErrorsFor, array, integers, is_float
from ._core import Options, compute
from ._types import Array

__all__ = ["ctc_loss"]

#: The conventions of `optax.ctc_loss`.
CONVENTIONS = Conventions((("blank: ", "blank_id: "), ("label_lengths", "label_paddings")))


def ctc_loss(
    logits: Array,
    logit_paddings: Array,
    labels: Array,
    label_paddings: Array,
    *,
    blank_id: int = 0,
    log_epsilon: Any = None,
    backend: str = "auto",
) -> jax.Array:
    """Returns the losses `[B]` in nats, like `optax.ctc_loss`, with the same arguments.

    Shapes have the letters of optax: B items, T frames, K classes, N labels.

    Args:
        logits: `[B, T, K]`.
        logit_paddings: `[B, T]`: 0 for valid frames, then 1.
        labels: integers `[B, N]`.
        label_paddings: `[B, N]`: 0 for valid labels, then 1.
        blank_id: the class of the blank.
        log_epsilon: ignored. An item without a valid alignment has a loss of +inf and a gradient of
            0.
        backend: as in `ctc_wgpu.ctc_loss`.

    Raises:
        TypeError: an array has elements of the wrong type.
        ValueError: an argument is invalid; the message contains the item, the value and the rule.
            Under tracing, as in `jit`, errors found in the arrays are
            `jax.errors.JaxRuntimeError`, whose text contains this message.
    """
    del log_epsilon
    with ErrorsFor(Conventions()) as substitutes:
        logits, logit_paddings, label_paddings = (
            value if isinstance(value, jax.Array) else array(name, value)
            for name, value in [
                ("logits", logits),
                ("logit_paddings", logit_paddings),
                ("label_paddings", label_paddings),
            ]
        )
        if not isinstance(labels, jax.Array):
            # JAX would truncate numbers that 32 bits cannot represent.
            labels = integers("labels", labels, 2, substitutes)
        if not is_float(logits.dtype):
            raise TypeError(
                f"logits is an array of {logits.dtype}: must contain floating-point numbers"
            )
        if logits.ndim != 3 or logit_paddings.shape != logits.shape[:2]:
            raise ValueError(
                f"logits has shape {logits.shape}, logit_paddings {logit_paddings.shape}: must be "
                "[B, T, K], [B, T]"
            )
        if (
            labels.ndim != 2
            or label_paddings.shape != labels.shape
            or labels.shape[0] != logits.shape[0]
        ):
            raise ValueError(
                f"labels has shape {labels.shape}, label_paddings {label_paddings.shape}: both must "
                "be [B, N], with the B of logits"
            )
        logit_paddings, label_paddings = (
            jnp.asarray(x, jnp.float32) for x in (logit_paddings, label_paddings)
        )
        options = (("blank", blank_id), ("blank_in_labels", "allow"))
        native_labels = jnp.asarray(labels), label_paddings
        return apply(
            options, backend, CONVENTIONS, jnp.asarray(logits), native_labels, logit_paddings
        )


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def apply(
    options: tuple,
    backend: str,
    conventions: Conventions,
    logits: jax.Array,
    labels: tuple,
    frames: jax.Array,
) -> jax.Array:
    """Computes losses `[N]` with any options, differentiable with respect to the logits.

    `logits` are `[N, T, C]`. `options` are pairs of name and value. `labels` are padded labels,
    `[N, Lmax]`, and either their lengths, `[N]`, or their mask, `[N, Lmax]`. `frames` are the
    lengths of the logits, `[N]`, or their mask, `[N, T]`.
    """
    return _on_host(options, backend, conventions, False, logits, labels, frames)[0]


def _forward(options, backend, conventions, logits, labels, frames):
    loss, grad = _on_host(options, backend, conventions, True, logits, labels, frames)
    return loss, (grad, jnp.zeros(0, logits.dtype))


def _backward(options, backend, conventions, saved, upstream):
    grad, like = saved
    weights = upstream[:, None, None]
    # An item of weight 0 has a gradient of 0, even where its own is NaN. The conversion to the type
    # of the logits comes after the scaling, so that small gradients survive.
    return jnp.where(weights == 0, 0, grad * weights).astype(like.dtype), None, None


apply.defvjp(_forward, _backward)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _on_host(options, backend, conventions, with_grad, logits, labels, frames):
    run = partial(_run, Options(**dict(options)), backend, conventions, with_grad)
    arrays = logits, *labels, frames
    if not _traced(*arrays):
        return [jnp.asarray(x) for x in run(*arrays)]
    dtype = _result_type(backend, logits.dtype)
    shapes = (logits.shape[:1], logits.shape)[: 1 + with_grad]
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    # Under vmap, each array has one more axis; as items are independent, these are more items.
    results = jax.pure_callback(run, results, *arrays, vmap_method="broadcast_all")
    return [_vary_like(logits, x) for x in results]


@_on_host.defjvp
def _reject(*_):
    """Raises for second derivatives and forward mode: JAX cannot differentiate a callback."""
    raise ValueError(
        "ctc_loss of ctc_wgpu supports first derivatives in reverse mode only; callbacks do not "
        "support JVP"
    )


def _vary_like(logits, x):
    """Marks the result `x` of a callback as varying over the same mesh axes as `logits`.

    `shard_map` records these axes in the type of an array, except for results of callbacks.
    """
    kind = jax.typeof(logits) if hasattr(jax, "typeof") else None
    varies = getattr(getattr(kind, "manual_axis_type", None), "varying", None)
    varies = varies or getattr(kind, "vma", None)
    return jax.lax.pcast(x, tuple(varies), to="varying") if varies else x


def _run(options, backend, conventions, with_grad, logits, labels, label_extents, frames):
    logits, labels, label_extents, frames = (
        np.asarray(x) for x in (logits, labels, label_extents, frames)
    )
    outer = logits.shape[:-3]
    batch = logits.shape[:-2]

    def flat(values):
        axes = len(outer) + 1
        return values.reshape(math.prod(values.shape[:axes]), *values.shape[axes:])

    # Lengths are [N], masks are [N, Lmax] and [N, T].
    label_kind = "label_lengths" if flat(label_extents).ndim == 1 else "label_paddings"
    frame_kind = "logit_lengths" if flat(frames).ndim == 1 else "logit_paddings"
    loss, grad, _ = compute(
        flat(logits),
        flat(labels),
        options,
        **{label_kind: flat(label_extents), frame_kind: flat(frames)},
        backend=backend,
        conventions=conventions,
        grad=with_grad,
    )
    results = [loss.reshape(batch)] + ([grad.reshape(logits.shape)] if with_grad else [])
    return [x.astype(_result_type(backend, logits.dtype), copy=False) for x in results]


def _result_type(backend, dtype):
    """Returns the type of the losses, and of gradients before the incoming one scales them."""
    return np.float64 if backend == "reference" and dtype == np.float64 else np.float32


def on_host(function: Any, shapes: Any, *arrays: jax.Array) -> list[jax.Array]:
    """Calls a function of numpy arrays that returns an integer and a float32 array of `shapes`."""
    # JAX has 64-bit integers only with `jax_enable_x64`.
    dtypes = jax.dtypes.canonicalize_dtype(np.int64), np.float32
    results = [jax.ShapeDtypeStruct(*pair) for pair in zip(shapes, dtypes, strict=True)]

    def run(*arrays):
        parts = zip(function(*map(np.asarray, arrays)), dtypes, strict=True)
        return [part.astype(dtype) for part, dtype in parts]

    if not _traced(*arrays):
        return [jnp.asarray(part) for part in run(*arrays)]
    return jax.pure_callback(run, results, *arrays, vmap_method="sequential")


def _traced(*arrays):
    """Returns whether JAX calls the host later, with values that are not known yet.

    If not, a direct call raises its own errors instead of JAX's runtime errors.
    """
    return any(isinstance(x, jax.core.Tracer) for x in arrays)
