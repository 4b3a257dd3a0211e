"""`optax.ctc_loss`, computed by ctc-wgpu.

It works under `jit`, `grad`, `vmap`, `pmap` and `shard_map`, through `jax.pure_callback`: the arrays of another device travel
through the host. It has first derivatives, in reverse mode, only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._core import Options, compute

__all__ = ["ctc_loss"]


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
        ValueError: shapes do not go together. What is found in the arrays, under `jit` too, is an error of JAX's runtime that
            names item, value and rule.
    """
    del log_epsilon
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    logit_paddings = jnp.asarray(logit_paddings, jnp.float32)
    label_paddings = jnp.asarray(label_paddings, jnp.float32)
    if logits.ndim != 3 or logit_paddings.shape != logits.shape[:2]:
        raise ValueError(f"logits has shape {logits.shape}, logit_paddings {logit_paddings.shape}: must be [B, T, K], [B, T]")
    if labels.ndim != 2 or label_paddings.shape != labels.shape or labels.shape[0] != logits.shape[0]:
        raise ValueError(f"labels has shape {labels.shape}, label_paddings {label_paddings.shape}: must be [B, N], for B of logits")
    choices = (("blank", blank_id), ("blank_in_labels", "allow"))
    return apply(choices, backend, logits, (labels, label_paddings), logit_paddings)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def apply(choices: tuple, backend: str, logits: jax.Array, labels: tuple, frames: jax.Array) -> jax.Array:
    """Losses `[N]` of any options, differentiable by the logits `[N, T, C]`. `labels` are padded, with lengths `[N]` or a mask; so
    are `frames`."""
    return _on_host(choices, backend, False, logits, labels, frames)[0]


def _forward(choices, backend, logits, labels, frames):
    loss, grad = _on_host(choices, backend, True, logits, labels, frames)
    return loss, grad


def _backward(choices, backend, grad, upstream):
    weights = upstream[:, None, None]
    # Of an item that does not count not even a NaN.
    return jnp.where(weights == 0, jnp.zeros((), grad.dtype), grad * weights), None, None


apply.defvjp(_forward, _backward)


def _on_host(choices, backend, with_grad, logits, labels, frames):
    shapes = [jax.ShapeDtypeStruct(logits.shape[:1], logits.dtype)]
    if with_grad:
        shapes.append(jax.ShapeDtypeStruct(logits.shape, logits.dtype))
    run = partial(_run, Options(**dict(choices)), backend, with_grad)
    # Under vmap each array comes with one axis more; items do not know of each other, so that these are more items.
    answer = jax.pure_callback(run, shapes, logits, *labels, frames, vmap_method="broadcast_all")
    return [_vary_like(logits, x) for x in answer]


def _vary_like(logits, x):
    """In `shard_map` an array's type tells over which axes of the mesh it varies; that of a callback's result does not."""
    kind = jax.typeof(logits) if hasattr(jax, "typeof") else None
    varies = getattr(getattr(kind, "manual_axis_type", None), "varying", None) or getattr(kind, "vma", None)
    return jax.lax.pcast(x, tuple(varies), to="varying") if varies else x


def _run(options, backend, with_grad, logits, labels, label_extents, frames):
    logits, labels, label_extents, frames = (np.asarray(x) for x in (logits, labels, label_extents, frames))
    outer = logits.shape[:-3]
    batch = logits.shape[:-2]

    def flat(values):
        return values.reshape(-1, *values.shape[len(outer) + 1 :])

    # Lengths are integers, masks are not.
    label_kind = "label_lengths" if label_extents.dtype.kind in "iu" else "label_paddings"
    frame_kind = "logit_lengths" if frames.dtype.kind in "iu" else "logit_paddings"
    loss, grad, _ = compute(
        flat(logits),
        flat(labels),
        options,
        **{label_kind: flat(label_extents), frame_kind: flat(frames)},
        backend=backend,
        grad=with_grad,
    )
    answer = [loss.reshape(batch).astype(logits.dtype, copy=False)]
    if with_grad:
        answer.append(grad.reshape(logits.shape).astype(logits.dtype, copy=False))
    return answer


def on_host(function: Any, shapes: Any, *arrays: jax.Array) -> list[jax.Array]:
    """Of a function from arrays to arrays of these shapes, the first of integers and the second of float32: its arrays."""
    kinds = jax.dtypes.canonicalize_dtype(np.int64), np.float32  # JAX has 64 bits if it is told to.
    results = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]

    def run(*given):
        return [part.astype(kind) for part, kind in zip(function(*map(np.asarray, given)), kinds, strict=True)]

    return jax.pure_callback(run, results, *arrays, vmap_method="sequential")
