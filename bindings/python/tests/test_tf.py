"""`ctc_wgpu.tf` beside `tf.nn.ctc_loss`."""

import os
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from ctc_wgpu.tf import ctc_loss
from support import assert_close, draw, require_adapter_beside_tensorflow

SEEDS = range(12)


def sparse_of(batch):
    """Without zeros being taken for padding."""
    items, places = np.nonzero(np.arange(batch.labels.shape[1]) < batch.label_lengths[:, None])
    return tf.SparseTensor(np.stack([items, places], 1), batch.labels[items, places], batch.labels.shape)


def step(loss_of, batch, dtype, labels, label_length, time_major=True, **choices):
    x = tf.constant(batch.logits.transpose(1, 0, 2) if time_major else batch.logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = loss_of(
            labels,
            x,
            label_length,
            batch.logit_lengths,
            logits_time_major=time_major,
            blank_index=batch.blank,
            **choices,
        )
    return loss.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize("form", ["sparse", "dense", "batch-major", "in a graph", "unique"])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_the_original_in_float64(seed, form):
    # The original refuses an item without labels, and computes float64 only of sparse labels.
    batch = draw(seed, least_labels=1)
    batch = batch.only(batch.possible)
    loss, grad = step(tf.nn.ctc_loss, batch, tf.float64, sparse_of(batch), None)
    labels, label_length = batch.garbled, batch.label_lengths
    choices, ours = {"backend": "cpu"}, ctc_loss
    if form == "sparse":
        labels, label_length = sparse_of(batch), None
    if form == "batch-major":
        choices["time_major"], grad = False, grad.transpose(1, 0, 2)
    if form == "in a graph":
        ours = tf.function(ctc_loss)
    if form == "unique":
        choices["unique"] = tf.nn.ctc_unique_labels(batch.labels)
    assert_close(*step(ours, batch, tf.float32, labels, label_length, **choices), loss, grad)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_dense_labels_which_may_be_none_or_hold_the_blank(seed):
    """The original computes them in float32; so short, to 1e-5."""
    batch = draw(seed)
    batch = batch.only(batch.possible)
    expected = step(tf.nn.ctc_loss, batch, tf.float32, batch.labels, batch.label_lengths)
    got = step(ctc_loss, batch, tf.float32, batch.garbled, batch.label_lengths, backend="cpu")
    assert_close(*got, *expected)


def test_it_agrees_on_an_adapter():
    batch = draw(1, least_labels=1)
    batch = batch.only(batch.possible)
    expected = step(tf.nn.ctc_loss, batch, tf.float64, sparse_of(batch), None)
    require_adapter_beside_tensorflow()
    got = step(ctc_loss, batch, tf.float32, batch.garbled, batch.label_lengths, backend="gpu")
    assert_close(*got, *expected)


def test_impossible_items_are_infinite_and_their_gradient_is_0():
    """The original says 707 of dense labels, and of sparse ones it is an error or a gradient that is not 0."""
    batch = draw(1)
    assert not batch.possible.all()
    loss, grad = step(ctc_loss, batch, tf.float32, batch.labels, batch.label_lengths, backend="cpu")
    assert (np.isposinf(loss) == ~batch.possible).all()
    assert (grad.transpose(1, 0, 2)[~batch.possible] == 0).all()


@pytest.mark.parametrize("blank", [-1, -2])
def test_a_negative_blank_is_counted_from_the_end(blank):
    batch = draw(3, blank=blank)
    expected = step(ctc_loss, batch, tf.float32, batch.labels, batch.label_lengths, backend="cpu")
    batch.blank = blank
    got = step(ctc_loss, batch, tf.float32, batch.labels, batch.label_lengths, backend="cpu")
    assert (got[0] == expected[0]).all()
    assert (got[1] == expected[1]).all()


def test_static_shapes_are_kept_and_batches_of_any_size_go_through_one_graph():
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, 2], tf.int64)])
    def step(logits, labels):
        traces.append(logits)
        items = tf.shape(logits)[0]
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = ctc_loss(
                labels, logits, tf.fill([items], 2), tf.fill([items], tf.shape(logits)[1]), False, backend="cpu"
            )
            assert loss.shape.rank == 1
        grad = tape.gradient(loss, logits)
        assert grad.shape.as_list() == [None, None, 4]
        return loss, grad

    for items, frames in [(2, 5), (3, 7)]:
        loss, grad = step(tf.zeros([items, frames, 4]), tf.constant([[1, 2]] * items, tf.int64))
        assert loss.shape == [items]
        assert grad.shape == [items, frames, 4]
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_other_precisions_come_back_as_they_came(dtype):
    x = tf.zeros([3, 1, 2], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = ctc_loss([[1]], x, [1], [3], backend="cpu")
    assert loss.dtype == tape.gradient(loss, x).dtype == dtype
    assert float(loss[0]) == pytest.approx(np.log(8 / 6), rel=4e-3)


def test_float64_of_the_reference_has_the_slope_that_differences_have():
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 1, 3)))
    theoretical, numerical = tf.test.compute_gradient(
        lambda x: ctc_loss([[1, 2]], x, [2], [4], backend="reference"), [x], delta=1e-5
    )
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=1e-8)


@pytest.mark.parametrize("wrap", [lambda f: f, partial(tf.function, autograph=False)], ids=["eager", "graph"])
def test_a_second_derivative_is_an_error(wrap):
    @wrap
    def second(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = ctc_loss([[1]], x, [1], [3], backend="cpu")
            grad = inner.gradient(loss, x)
        return outer.gradient(grad, x)

    with pytest.raises(LookupError, match="first derivatives only"):
        second(tf.zeros([3, 1, 2]))


@pytest.mark.parametrize(
    ("wrap", "error"),
    [(lambda f: f, ValueError), (tf.function, tf.errors.InvalidArgumentError)],
    ids=["eager", "graph"],
)
def test_errors_name_item_and_rule(wrap, error):
    with pytest.raises(error, match="label 2 at position 0 is not below 2 classes"):
        wrap(ctc_loss)([[2]], tf.zeros([3, 1, 2]), [1], [3], backend="cpu")
    with pytest.raises(ValueError, match="blank_index must be given"):
        wrap(ctc_loss)(tf.sparse.from_dense([[1]]), tf.zeros([3, 1, 2]), None, [3], backend="cpu")
