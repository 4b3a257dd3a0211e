"""Compares `ctc_wgpu.jax` with `optax.ctc_loss`."""

import os
from functools import partial

# Two devices, for the tests of pmap and shard_map. It must be set before JAX is imported.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ctc_wgpu.jax import ctc_loss
from support import assert_close, draw

ours = partial(ctc_loss, backend="cpu")
# JAX compiles optax's loss again for each shape.
SEEDS = range(6)


def paddings(lengths, width):
    return (np.arange(width) >= lengths[:, None]).astype(np.float32)


def arguments(batch, labels=None, dtype=np.float32):
    labels = batch.garbled if labels is None else labels
    logit_paddings = paddings(batch.logit_lengths, batch.logits.shape[1])
    label_paddings = paddings(batch.label_lengths, labels.shape[1])
    return tuple(map(jnp.asarray, (batch.logits.astype(dtype), logit_paddings, labels, label_paddings)))


def step(loss_of, batch, *given):
    def total(x, *rest):
        loss = loss_of(x, *rest, blank_id=batch.blank)
        return loss.sum(), loss

    grad, loss = jax.grad(total, has_aux=True)(*given)
    return loss, grad


@pytest.mark.parametrize("wrap", [lambda f: f, partial(jax.jit, static_argnames="blank_id")], ids=["eager", "jit"])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_the_original_in_float64(seed, wrap):
    batch = draw(seed, blanks_in_labels=seed % 3 == 0)
    batch = batch.only(batch.possible)
    with jax.enable_x64(True):
        expected = step(optax.ctc_loss, batch, *arguments(batch, batch.labels, np.float64))
        assert expected[0].dtype == np.float64
    assert_close(*step(wrap(ours), batch, *arguments(batch)), *expected)


def test_it_agrees_on_an_adapter():
    batch = draw(1)
    batch = batch.only(batch.possible)
    with jax.enable_x64(True):
        expected = step(optax.ctc_loss, batch, *arguments(batch, batch.labels, np.float64))
    assert_close(*step(partial(ctc_loss, backend="gpu"), batch, *arguments(batch)), *expected)


def test_impossible_items_are_infinite_and_their_gradient_is_0():
    """The loss of optax is 1e5."""
    batch = draw(1)
    assert not batch.possible.all()
    loss, grad = step(ours, batch, *arguments(batch))
    assert (np.isposinf(loss) == ~batch.possible).all()
    assert (np.asarray(grad)[~batch.possible] == 0).all()


def test_vmap_is_a_larger_batch():
    batch = draw(3)
    given = arguments(batch)
    loss, grad = step(ours, batch, *given)
    folded = [x.reshape(2, -1, *x.shape[1:]) for x in given]

    def one(*part):
        return step(ours, batch, *part)

    for got, wanted in zip(jax.vmap(one)(*folded), (loss, grad), strict=True):
        np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)
    # Over the logits alone, and nested.
    shared = jax.vmap(lambda x: ours(x, *given[1:], blank_id=batch.blank))(jnp.stack([given[0]] * 3))
    np.testing.assert_array_equal(shared, jnp.stack([loss] * 3))
    twice = [x.reshape(2, 2, -1, *x.shape[1:]) for x in given]
    nested = jax.vmap(jax.vmap(partial(ours, blank_id=batch.blank)))(*twice)
    np.testing.assert_array_equal(nested.reshape(loss.shape), loss)


def test_pmap_and_shard_map_over_two_devices():
    assert jax.device_count() == 2
    batch = draw(4)
    given = arguments(batch)
    loss, grad = step(ours, batch, *given)

    def one(*part):
        return step(ours, batch, *part)

    spread = [x.reshape(2, -1, *x.shape[1:]) for x in given]
    for got, wanted in zip(jax.pmap(one)(*spread), (loss, grad), strict=True):
        np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)

    mesh = jax.make_mesh((2,), ("items",))
    rows = jax.sharding.PartitionSpec("items")
    sharded = jax.jit(jax.shard_map(one, mesh=mesh, in_specs=rows, out_specs=rows))
    placed = jax.device_put(given, jax.sharding.NamedSharding(mesh, rows))
    for got, wanted in zip(sharded(*placed), (loss, grad), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_large_batch_does_not_deadlock():
    """A callback could wait for an array that only its own thread would compute."""
    x = jnp.zeros((64, 400, 200))
    none = jnp.zeros((64, 400)), jnp.ones((64, 30), int), jnp.zeros((64, 30))
    total = jax.jit(jax.value_and_grad(lambda x: ours(x * 2, *none).sum()))
    for _ in range(5):
        value, grad = total(x)
    assert np.isfinite(value)
    assert grad.shape == x.shape


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(("items", "frames", "width"), [(2, 4, 0), (2, 0, 0), (2, 0, 1), (0, 4, 2)])
def test_empty_axes_are_accepted(items, frames, width, wrap):
    given = jnp.zeros((items, frames, 3)), jnp.zeros((items, frames)), jnp.ones((items, width), int), jnp.zeros((items, width))
    expected = frames * np.log(3) if width == 0 else np.inf
    np.testing.assert_allclose(wrap(ours)(*given), np.full(items, expected), rtol=1e-6)


def test_incoming_gradients_scale_items_and_0_suppresses_nan():
    batch = draw(5)
    batch = batch.only(batch.possible)
    weights = jnp.linspace(0, 2, len(batch.labels))
    _, once = step(ours, batch, *arguments(batch))
    batch.logits[0, 0, 0] = np.nan
    _, pull = jax.vjp(lambda x: ours(x, *arguments(batch)[1:], blank_id=batch.blank), arguments(batch)[0])
    (grad,) = pull(weights)
    np.testing.assert_allclose(grad[1:], once[1:] * weights[1:, None, None], rtol=1e-6)
    assert (grad[0] == 0).all()


ONE = np.zeros((1, 3, 2), np.float32), jnp.zeros((1, 3)), jnp.array([[1]]), jnp.zeros((1, 1))


def total(x):
    """Returns the loss of one item, whose second derivative is not 0."""
    return ours(x, *ONE[1:]).sum()


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_losses_are_float32_and_the_gradient_has_the_type_of_the_logits(dtype, wrap):
    loss, grad = wrap(jax.value_and_grad(total))(jnp.zeros((1, 3, 2), dtype))
    assert (loss.dtype, grad.dtype) == (jnp.float32, dtype)
    assert float(loss) == pytest.approx(np.log(8 / 6), rel=1e-6)
    # 65504 is the largest number of half precision.
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 30000, 20)), dtype)
    rest = jnp.zeros((1, 30000)), jnp.ones((1, 5), int), jnp.zeros((1, 5))
    np.testing.assert_allclose(wrap(ours)(x, *rest), wrap(ours)(x.astype(jnp.float32), *rest), rtol=1e-7)
    assert wrap(ours)(x, *rest)[0] > 65504


def test_a_gradient_of_half_precision_is_scaled_before_it_is_rounded():
    x = jnp.zeros((1, 2, 3)).at[..., 2].set(-18.5)
    rest = jnp.zeros((1, 2)), jnp.array([[1]]), jnp.zeros((1, 1))
    exact = jax.grad(lambda x: ours(x, *rest).sum())(x)
    scaled = jax.grad(lambda x: ours(x, *rest).sum() * 2**16)(x.astype(jnp.float16))
    assert 0 < exact[0, 0, 2] < 2**-25
    np.testing.assert_allclose(scaled.astype(jnp.float32), exact * 2**16, rtol=1e-3)


SECOND = {
    "hessian": jax.hessian(total),
    "hessian in jit": jax.jit(jax.hessian(total)),
    "grad twice": jax.grad(lambda x: jax.grad(total)(x).sum()),
    "jacrev twice": jax.jacrev(jax.jacrev(total)),
    "jvp of grad": lambda x: jax.jvp(jax.grad(total), (x,), (x,)),
    "linearize of grad": lambda x: jax.linearize(jax.grad(total), x),
    "vmap of hessian": lambda x: jax.vmap(jax.hessian(total))(x[None]),
    "with a checkpoint": jax.hessian(jax.checkpoint(total)),
}


@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
def test_a_second_derivative_is_an_error(second):
    with pytest.raises(ValueError, match="first derivatives in reverse mode only"):
        second(jnp.zeros((1, 3, 2)))


def test_forward_mode_is_an_error():
    for walk in (jax.jacfwd(total), lambda x: jax.jvp(total, (x,), (x,))):
        with pytest.raises(TypeError, match="forward-mode"):
            walk(jnp.zeros((1, 3, 2)))


BAD = {
    "label": ({"labels": [[2]]}, ValueError, "labels: item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"),
    "padding": ({"labels": [[-1]]}, ValueError, "labels: item 0: label -1 at position 0 is out of range.*label_paddings must not count"),
    "a large label": ({"labels": np.array([[2**63]], np.uint64)}, ValueError, "labels: item 0: label 9223372036854775808 at"),
    # JAX truncates these to 32 bits, which are 1.
    "a label that would wrap": ({"labels": np.array([[2**32 + 1]])}, ValueError, "labels: item 0: label 4294967297 at"),
    "float labels": ({"labels": [[1.0]]}, TypeError, "labels is an array of float64"),
    "boolean labels": ({"labels": jnp.array([[True]])}, TypeError, "labels is an array of bool"),
    "masked labels": ({"labels": np.ma.masked_array([[1]], mask=True)}, ValueError, "labels is a masked array"),
    "a mask with holes": ({"logit_paddings": [[0, 1, 0]]}, ValueError, "item 0: logit_paddings is 0 at position 2"),
    "shapes": ({"logit_paddings": [0, 0, 0]}, ValueError, "logits has shape .*, logit_paddings"),
    "integers": ({"logits": np.zeros((1, 3, 2), int)}, TypeError, "logits is an array of int64"),
    "blank": ({"blank_id": 2}, ValueError, "blank_id: blank 2 is out of range: expected 0 to 1 for 2 classes"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_errors_name_the_arguments_as_optax_does(bad):
    """Without tracing, they are Python's own exceptions."""
    arguments, error, message = bad
    given = dict(zip(("logits", "logit_paddings", "labels", "label_paddings"), ONE, strict=True))
    with pytest.raises(error, match=f"^{message}"):
        ours(**{**given, **arguments})


def test_errors_under_jit_contain_the_message():
    with pytest.raises(jax.errors.JaxRuntimeError, match="ValueError: labels: item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"):
        jax.block_until_ready(jax.jit(ours)(*ONE[:2], jnp.array([[2]]), ONE[3]))


# The README's table of differences: each test asserts the behaviour of the original and of this
# package, on two items of three frames over four equally probable classes.
def uniform(at=None, value=0.0):
    x = np.zeros((2, 3, 4), np.float32)
    if at is not None:
        x[at] = value
    return x


def losses(loss_of, x, labels, logit_paddings=None, label_paddings=None):
    labels = jnp.asarray(labels)
    logit_paddings = jnp.zeros((2, 3)) if logit_paddings is None else jnp.asarray(logit_paddings, jnp.float32)
    label_paddings = jnp.zeros(labels.shape) if label_paddings is None else jnp.asarray(label_paddings, jnp.float32)
    loss, pull = jax.vjp(lambda x: loss_of(x, logit_paddings, labels, label_paddings), jnp.asarray(x))
    return np.asarray(loss), np.asarray(pull(jnp.ones_like(loss))[0])


theirs, mine = partial(losses, optax.ctc_loss), partial(losses, ours)


def test_difference_an_impossible_item():
    labels = [[1, 1, 1], [1, 2, 3]]
    assert theirs(uniform(), labels)[0][0] > 1e5
    loss, grad = mine(uniform(), labels)
    assert loss[0] == np.inf
    assert (grad[0] == 0).all()


def test_difference_a_logit_of_minus_infinity():
    given = uniform((0, 0, 3), -np.inf), [[1], [1]]
    assert np.isnan(theirs(*given)[1][0]).any()
    loss, grad = mine(*given)
    wanted, wanted_grad = theirs(uniform((0, 0, 3), -30), [[1], [1]])
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(grad, wanted_grad, atol=1e-6)


def test_difference_nan_in_the_padding():
    given = uniform((0, 2), np.nan), [[1], [1]], [[0, 0, 1], [0, 0, 0]]
    assert np.isnan(theirs(*given)[0][0])
    loss, grad = mine(*given)
    assert np.isfinite(loss).all()
    assert np.isfinite(grad).all()


def test_difference_a_label_that_is_not_a_class():
    for label in (4, 7, -1):
        assert theirs(uniform(), [[label], [1]])[0][0] < 0
        with pytest.raises(Exception, match=f"item 0: label {label} at position 0 is out of range: expected 0 to 3 for 4 classes"):
            mine(uniform(), [[label], [1]])


def test_difference_paddings_with_holes():
    holes = [[0, 1, 0], [0, 0, 0]]
    assert np.isfinite(theirs(uniform(), [[1], [1]], holes)[0]).all()
    with pytest.raises(Exception, match="logit_paddings is 0 at"):
        mine(uniform(), [[1], [1]], holes)


def test_no_difference_for_the_blank_among_labels():
    loss, grad = mine(uniform(), [[0, 1], [1, 2]])
    wanted, wanted_grad = theirs(uniform(), [[0, 1], [1, 2]])
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(grad, wanted_grad, atol=1e-6)


def test_difference_a_loss_below_0():
    given = uniform((..., 1), 18), [[1], [1]]
    assert theirs(*given)[0][0] < 0
    assert 0 <= mine(*given)[0][0] < 1e-6


def test_difference_log_epsilon_is_ignored():
    given = jnp.zeros((1, 3, 4)), jnp.zeros((1, 3)), jnp.array([[1, 1, 1]]), jnp.zeros((1, 3))
    assert optax.ctc_loss(*given, log_epsilon=-50.0) < 60
    assert ours(*given, log_epsilon=-50.0) == np.inf


def test_difference_second_derivatives():
    """Another test asserts that ours is an error."""
    given = jnp.zeros((1, 3)), jnp.array([[1]]), jnp.zeros((1, 1))
    first = jax.grad(lambda x: optax.ctc_loss(x, *given).sum())
    second = jax.grad(lambda x: first(x)[0, 0, 0])(jnp.zeros((1, 3, 2)))
    assert jnp.abs(second).max() > 0.05


def test_difference_float64_is_rounded():
    with jax.enable_x64(True):
        given = jnp.zeros((1, 3, 2)), jnp.zeros((1, 3)), jnp.array([[1]]), jnp.zeros((1, 1))
        answers = [optax.ctc_loss(*given), ours(*given), ctc_loss(*given, backend="reference")]
        theirs, mine, exact = (np.asarray(answer)[0] for answer in answers)
    assert (theirs.dtype, mine.dtype, exact.dtype) == (np.float64, np.float32, np.float64)
    assert abs(theirs - np.log(8 / 6)) < 1e-9
    assert abs(exact - np.log(8 / 6)) < 1e-15
    assert 0 < abs(mine - np.log(8 / 6)) < 1e-6
