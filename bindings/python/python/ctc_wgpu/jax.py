"""`optax.ctc_loss`, computed by ctc-wgpu.

It works under `jit`, `grad`, `vmap`, `pmap` and `shard_map`, through `jax.pure_callback`: the arrays of another device travel
through the host. It has first derivatives, in reverse mode, only: another one is an error. A loss is float32 whatever the
logits are; or float64, of float64 by `backend="reference"`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import Caller, array, ErrorsFor, integers, is_float
from ._core import Options, compute

__all__ = ["ctc_loss"]

#: What `optax.ctc_loss` calls differently.
CALLER = Caller((("blank: ", "blank_id: "), ("label_lengths", "label_paddings")))


def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: Any = None,
    backend: str = "auto",
) -> jax.Array:
    """`optax.ctc_loss`: the same arguments and results.

    Args:
        logits: `[B, T, K]`.
        logit_paddings: `[B, T]`: 0 for frames that count, then 1.
        labels: integers `[B, N]`.
        label_paddings: `[B, N]`: 0 for labels that count, then 1.
        blank_id: the blank's class.
        log_epsilon: not looked at: what is impossible has a loss of +inf, and a gradient of 0.
        backend: as of `ctc_wgpu.ctc_loss`.

    Raises:
        TypeError: an array is not of the kind of numbers that it must be.
        ValueError: a rule is broken, with item, value and rule. Where JAX traces, as under `jit`, what is found in the
            arrays comes as an error of its runtime (`jax.errors.JaxRuntimeError`), whose text has this message in it.
    """
    del log_epsilon
    with ErrorsFor(Caller()) as stand_ins:
        logits, logit_paddings, label_paddings = (
            value if isinstance(value, jax.Array) else array(name, value)
            for name, value in [("logits", logits), ("logit_paddings", logit_paddings), ("label_paddings", label_paddings)]
        )
        if not isinstance(labels, jax.Array):  # JAX would cut what 32 bits do not hold.
            labels = integers("labels", labels, 2, stand_ins)
        if not is_float(logits.dtype):
            raise TypeError(f"logits is an array of {logits.dtype}: must be of floating-point numbers")
        if logits.ndim != 3 or logit_paddings.shape != logits.shape[:2]:
            raise ValueError(f"logits has shape {logits.shape}, logit_paddings {logit_paddings.shape}: must be [B, T, K], [B, T]")
        if labels.ndim != 2 or label_paddings.shape != labels.shape or labels.shape[0] != logits.shape[0]:
            raise ValueError(
                f"labels has shape {labels.shape}, label_paddings {label_paddings.shape}: must be [B, N], for B of logits"
            )
        logit_paddings, label_paddings = (jnp.asarray(x, jnp.float32) for x in (logit_paddings, label_paddings))
        choices = (("blank", blank_id), ("blank_in_labels", "allow"))
        return apply(choices, backend, CALLER, jnp.asarray(logits), (jnp.asarray(labels), label_paddings), logit_paddings)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def apply(choices: tuple, backend: str, caller: Caller, logits: jax.Array, labels: tuple, frames: jax.Array) -> jax.Array:
    """Losses `[N]` of any options, differentiable by the logits `[N, T, C]`. `labels` are padded, with lengths `[N]` or a mask; so
    are `frames`."""
    return _on_host(choices, backend, caller, False, logits, labels, frames)[0]


def _forward(choices, backend, caller, logits, labels, frames):
    loss, grad = _on_host(choices, backend, caller, True, logits, labels, frames)
    return loss, (grad, jnp.zeros(0, logits.dtype))


def _backward(choices, backend, caller, saved, upstream):
    grad, like = saved
    weights = upstream[:, None, None]
    # Of an item that does not count not even a NaN. Narrowed as the logits are only after what
    # comes in has scaled it.
    return jnp.where(weights == 0, 0, grad * weights).astype(like.dtype), None, None


apply.defvjp(_forward, _backward)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _on_host(choices, backend, caller, with_grad, logits, labels, frames):
    run = partial(_run, Options(**dict(choices)), backend, caller, with_grad)
    given = logits, *labels, frames
    if not _traced(*given):
        return [jnp.asarray(x) for x in run(*given)]
    kind = _kind(backend, logits.dtype)
    shapes = [jax.ShapeDtypeStruct(shape, kind) for shape in (logits.shape[:1], logits.shape)[: 1 + with_grad]]
    # Under vmap each array comes with one axis more; items do not know of each other, so that these are more items.
    answer = jax.pure_callback(run, shapes, *given, vmap_method="broadcast_all")
    return [_vary_like(logits, x) for x in answer]


@_on_host.defjvp
def _refuse(*_):
    """What was found on the host depends on the logits."""
    raise ValueError("ctc_loss of ctc_wgpu has first derivatives, in reverse mode, only; callbacks do not support JVP")


def _vary_like(logits, x):
    """In `shard_map` an array's type tells over which axes of the mesh it varies; that of a callback's result does not."""
    kind = jax.typeof(logits) if hasattr(jax, "typeof") else None
    varies = getattr(getattr(kind, "manual_axis_type", None), "varying", None) or getattr(kind, "vma", None)
    return jax.lax.pcast(x, tuple(varies), to="varying") if varies else x


def _run(options, backend, caller, with_grad, logits, labels, label_extents, frames):
    logits, labels, label_extents, frames = (np.asarray(x) for x in (logits, labels, label_extents, frames))
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
        caller=caller,
        grad=with_grad,
    )
    answer = [loss.reshape(batch)] + ([grad.reshape(logits.shape)] if with_grad else [])
    return [x.astype(_kind(backend, logits.dtype), copy=False) for x in answer]


def _kind(backend, dtype):
    """Of losses, and of gradients until they are weighted. JAX has no float64 unless it is told to."""
    return np.float64 if backend == "reference" and dtype == np.float64 else np.float32


def on_host(function: Any, shapes: Any, *arrays: jax.Array) -> list[jax.Array]:
    """Of a function from arrays to arrays of these shapes, the first of integers and the second of float32: its arrays."""
    kinds = jax.dtypes.canonicalize_dtype(np.int64), np.float32  # JAX has 64 bits if it is told to.
    results = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]

    def run(*given):
        return [part.astype(kind) for part, kind in zip(function(*map(np.asarray, given)), kinds, strict=True)]

    if not _traced(*arrays):
        return [jnp.asarray(part) for part in run(*arrays)]
    return jax.pure_callback(run, results, *arrays, vmap_method="sequential")


def _traced(*arrays):
    """Whether JAX must call the host later. Else an error is what was raised, and not one of JAX's runtime."""
    return any(isinstance(x, jax.core.Tracer) for x in arrays)
