"""Compares `ctc_wgpu.tf` with `tf.nn.ctc_loss`."""

import json
import os
import subprocess
import sys
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import pytest
import tensorflow as tf
from ctc_wgpu.keras import CTC
from ctc_wgpu.tf import ctc_loss
from support import assert_close, draw, require_adapter_beside_tensorflow

SEEDS = range(12)


def sparse_of(batch):
    """Converts labels to a sparse tensor that keeps labels of class 0."""
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
    # TensorFlow rejects an item without labels, and computes in float64 only for sparse labels.
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
def test_it_agrees_for_dense_labels_and_items_without_labels(seed):
    """TensorFlow computes these in float32, to 1e-5 for so few frames."""
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
    """TensorFlow returns 707 (dense), or an error or a gradient that is not 0 (sparse)."""
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


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_losses_are_float32_and_the_gradient_has_the_type_of_the_logits(dtype, wrap):
    @wrap
    def losses_and_gradient(x, labels, frames):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = ctc_loss(labels, x, [1], frames, backend="cpu")
        return loss, tape.gradient(loss, x)

    loss, grad = losses_and_gradient(tf.zeros([3, 1, 2], dtype), [[1]], [3])
    assert (loss.dtype, grad.dtype) == (tf.float32, dtype)
    assert float(loss[0]) == pytest.approx(np.log(8 / 6), rel=1e-6)
    # 65504 is the largest number of half precision.
    loss, _ = losses_and_gradient(tf.zeros([100_000, 1, 2], dtype), [[1]], [100_000])
    assert float(loss[0]) == pytest.approx(100_000 * np.log(2) - np.log(100_000 * 100_001 / 2), rel=1e-6)
    assert ctc_loss([[1]], tf.zeros([3, 1, 2], tf.float64), [1], [3], backend="reference").dtype == tf.float64


def test_the_float64_gradient_of_the_reference_agrees_with_finite_differences():
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 1, 3)))
    theoretical, numerical = tf.test.compute_gradient(
        lambda x: ctc_loss([[1, 2]], x, [2], [4], backend="reference"), [x], delta=1e-5
    )
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=1e-8)


def of_one(x):
    """Returns the loss of one item, whose second derivative is not 0."""
    return ctc_loss([[1]], x, [1], [3], backend="cpu")


def slope(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = of_one(x)
    return tape.gradient(loss, x)


def twice(x, by="gradient", **more):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        grad = slope(x)
    return getattr(outer, by)(grad, x, **more)


def by_other_weights(x):
    weights = tf.Variable(tf.ones([2, 2]))
    with tf.GradientTape() as outer:
        y = x @ weights
        grad = slope(y)
    return outer.gradient(grad, weights, unconnected_gradients="zero")


def forward(function, x):
    with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
        y = function(x)
    return accumulator.jvp(y)


OTHER_DERIVATIVES = {
    "twice": twice,
    "twice, zeros allowed": partial(twice, unconnected_gradients="zero"),
    "the jacobian of the gradient": partial(twice, by="jacobian"),
    "by other weights": by_other_weights,
    "in forward mode": partial(forward, of_one),
    "the gradient in forward mode": partial(forward, slope),
    "gradients": tf.function(lambda x: tf.gradients(tf.gradients(of_one(x), x), x), autograph=False),
    "hessians": tf.function(lambda x: tf.hessians(of_one(x), x), autograph=False),
}


@pytest.mark.parametrize("wrap", [lambda f: f, partial(tf.function, autograph=False)], ids=["eager", "graph"])
@pytest.mark.parametrize("walk", OTHER_DERIVATIVES.values(), ids=OTHER_DERIVATIVES)
def test_another_derivative_is_an_error_however_the_tape_is_walked(walk, wrap):
    with pytest.raises(Exception, match="first derivatives in reverse mode only"):
        wrap(walk)(tf.zeros([3, 1, 2]))


BAD = {
    "label": ({"labels": [[2]]}, ValueError, "labels: item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"),
    "padding": ({"labels": [[-1]]}, ValueError, "labels: item 0: label -1 at position 0 is out of range.*label_length must not count"),
    "a large label": ({"labels": np.array([[2**63]], np.uint64)}, ValueError, "labels: item 0: label 9223372036854775808 at"),
    "label length": ({"label_length": [2]}, ValueError, "label_length: item 0: label length 2 is out of range: expected 0 to 1"),
    "logit length": ({"logit_length": [4]}, ValueError, "logit_length: item 0: logit length 4 is out of range: expected 0 to 3"),
    "float labels": ({"labels": [[1.0]]}, TypeError, "labels is an array of float64"),
    "blank": ({"blank_index": 2}, ValueError, "blank_index: blank 2 is out of range: expected 0 to 1 for 2 classes"),
    "the blank among sparse labels": (
        {"labels": tf.sparse.from_dense([[1]]), "label_length": None, "blank_index": 1},
        ValueError,
        "labels: item 0: label 1 at position 0 is the blank; only dense labels may contain it",
    ),
    "sparse labels out of order": (
        {"labels": tf.SparseTensor([[1, 0], [0, 0]], [1, 1], [2, 1]), "logits": tf.zeros([3, 2, 2]), "logit_length": [3, 3]}
        | {"label_length": None, "blank_index": 0},
        ValueError,
        r"sparse label 1: index \[0, 0\] is out of order after row 1",
    ),
}
# Errors that are raised when a graph is built, too.
BAD_AT_ONCE = {
    "masked labels": ({"labels": np.ma.masked_array([[1]], mask=True)}, ValueError, "labels is a masked array"),
    "ragged labels": ({"labels": tf.ragged.constant([[1]])}, TypeError, "labels is a RaggedTensor"),
    "sparse logits": ({"logits": tf.sparse.from_dense(tf.ones([3, 1, 2]))}, TypeError, "logits is a SparseTensor"),
    "integers": ({"logits": tf.zeros([3, 1, 2], tf.int32)}, TypeError, "logits is a tensor of int32"),
    "complex": ({"logits": tf.zeros([3, 1, 2], tf.complex64)}, TypeError, "logits is a tensor of complex64"),
    "a string for a flag": ({"logits_time_major": "False"}, TypeError, "logits_time_major='False': must be True or False"),
    "no label length": ({"label_length": None}, ValueError, "label_length is required"),
    "no blank": ({"labels": tf.sparse.from_dense([[1]]), "label_length": None}, ValueError, "blank_index is required"),
}


def broken(arguments):
    right = {"labels": [[1]], "logits": tf.zeros([3, 1, 2]), "label_length": [1], "logit_length": [3]}
    return ctc_loss(**{**right, "backend": "cpu", **arguments})


@pytest.mark.parametrize("bad", (BAD | BAD_AT_ONCE).values(), ids=BAD | BAD_AT_ONCE)
def test_errors_name_the_arguments_as_tensorflow_does(bad):
    arguments, error, message = bad
    with pytest.raises(error, match=f"^{message}"):
        broken(arguments)
    with pytest.raises((error, tf.errors.InvalidArgumentError), match=message):
        tf.function(lambda: broken(arguments), autograph=False)()


def test_xla_cannot_call_the_host():
    compiled = tf.function(partial(ctc_loss, backend="cpu"), jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="PyFunc"):
        compiled([[1]], tf.zeros([3, 1, 2]), [1], [3])


LOOK = "print(ctc_wgpu.backend_name())"


@pytest.mark.parametrize("script", [f"import tensorflow; {LOOK}", f"{LOOK}; import tensorflow"], ids=["after", "before"])
def test_the_default_backend_works_beside_tensorflow(script):
    """Mesa's drivers would abort the process, after its last line."""
    with_mesa = {name: value for name, value in os.environ.items() if name != "VK_DRIVER_FILES"}
    script = f"import ctc_wgpu; {script}"
    ended = subprocess.run([sys.executable, "-c", script], env=with_mesa, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    if script.endswith(LOOK) and sys.platform == "linux":
        assert ended.stdout.startswith("CPU backend")


def in_a_fresh_process(folder, call):
    """Loads the saved model as `model`, and calls it."""
    script = f"import tensorflow as tf; model = tf.saved_model.load({str(folder)!r}); print({call})"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)


def test_the_loss_in_a_saved_model_runs_in_the_process_that_saved_it_only(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 2])])
        def __call__(self, x):
            return ctc_loss([[1]], x, [1], [3], False, backend="cpu")

    tf.saved_model.save(Module(), tmp_path)
    x = tf.zeros([1, 3, 2])
    assert float(tf.saved_model.load(tmp_path)(x)[0]) == pytest.approx(np.log(8 / 6))
    ended = in_a_fresh_process(tmp_path, "model(tf.zeros([1, 3, 2]))")
    assert ended.returncode != 0
    assert "Could not find callback" in ended.stderr


def test_a_trained_model_is_exported_without_its_loss(tmp_path):
    """`Model.export` writes the predicting model, which needs neither this package nor Keras."""
    keras = tf.keras
    line = keras.Input((3, 2))
    model = keras.Model(line, keras.layers.Dense(2, activation="softmax")(line))
    model.compile(loss=CTC(from_logits=False, blank=-1, mask_value=-1, backend="cpu"), jit_compile=False)
    x = np.ones((4, 3, 2), np.float32)
    model.fit(x, np.zeros((4, 1)), verbose=0)
    model.export(tmp_path, verbose=False)
    ended = in_a_fresh_process(tmp_path, "model.serve(tf.ones([1, 3, 2])).numpy().tolist()")
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_allclose(json.loads(ended.stdout), model.predict(x[:1], verbose=0), rtol=1e-6)


# The README's table of differences: each test asserts the behaviour of the original and of this
# package, on two items of three frames over four equally probable classes.
def uniform(at=None, value=0.0):
    x = np.zeros((2, 3, 4), np.float32)
    if at is not None:
        x[at] = value
    return x


def sparse(labels):
    places = [(item, place) for item, row in enumerate(labels) for place in range(len(row))]
    values = np.array([label for row in labels for label in row], np.int32)
    width = max(map(len, labels))
    return tf.SparseTensor(np.array(places, np.int64).reshape(-1, 2), values, (len(labels), width))


def losses(loss_of, x, labels, label_length=None, logit_length=(3, 3), **choices):
    x = tf.constant(x)
    label_length = None if isinstance(labels, tf.SparseTensor) else label_length or [len(row) for row in labels]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = loss_of(labels, x, label_length, logit_length, False, blank_index=0, **choices)
    return loss.numpy(), tape.gradient(loss, x).numpy()


def theirs(*arguments, **choices):
    return losses(tf.nn.ctc_loss, *arguments, **choices)


def ours(*arguments, **choices):
    return losses(ctc_loss, *arguments, backend="cpu", **choices)


def test_difference_an_impossible_item():
    labels = [[1, 1, 1], [1, 2, 3]]
    assert 700 < theirs(uniform(), labels)[0][0] < 720
    loss, wrong = theirs(uniform(), sparse(labels))
    assert loss[0] == np.inf
    assert np.abs(wrong[0]).max() > 0.1
    with pytest.raises(tf.errors.InvalidArgumentError, match="Not enough time"):
        theirs(uniform(), sparse(labels), logit_length=(2, 3))
    for form in (labels, sparse(labels)):
        loss, grad = ours(uniform(), form, logit_length=(2, 3))
        assert loss[0] == np.inf
        assert (grad[0] == 0).all()


def test_difference_a_logit_of_minus_infinity():
    given = uniform((0, 0, 3), -np.inf), [[1], [1]]
    loss, grad = ours(*given)
    assert np.isnan(theirs(*given)[1][0]).any()
    exact, exact_grad = theirs(given[0], sparse(given[1]))
    np.testing.assert_allclose(loss, exact, rtol=1e-6)
    np.testing.assert_allclose(grad, exact_grad, atol=1e-6)


def test_difference_nan_in_the_padding():
    given = uniform((0, 2), np.nan), [[1], [1]], [1, 1], (2, 3)
    assert np.isnan(theirs(*given)[0][0])
    loss, grad = ours(*given)
    assert np.isfinite(loss).all()
    assert np.isfinite(grad).all()


def test_difference_a_label_that_is_not_a_class():
    for label in (4, 7, -1):
        assert theirs(uniform(), [[label], [1]])[0][0] < 0
        with pytest.raises(ValueError, match=f"item 0: label {label} at position 0 is out of range: expected 0 to 3 for 4 classes"):
            ours(uniform(), [[label], [1]])


def test_difference_lengths_out_of_range():
    cases = [([1, 1], (4, 3)), ([1, 1], (-1, 3)), ([2, 1], (3, 3)), ([-1, 1], (3, 3))]
    for label_length, logit_length in cases:
        given = uniform(), [[1], [1]], label_length, logit_length
        assert np.isfinite(theirs(*given)[0]).all()
        with pytest.raises(ValueError, match="item 0: (label|logit) length"):
            ours(*given)


def test_difference_an_item_without_labels():
    given = uniform(), sparse([[], [1]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Labels length is zero"):
        theirs(*given)
    assert ours(*given)[0][0] == pytest.approx(3 * np.log(4))


def test_difference_the_blank_among_labels():
    """TensorFlow treats it as a label like any other, but its gradient is not the derivative."""
    labels, nudge = [[0, 1], [1, 2]], 0.05
    loss, grad = ours(uniform(), labels)
    wanted, wrong = theirs(uniform(), labels)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    up, down = (theirs(uniform((0, 0, 0), by), labels)[0][0] for by in (nudge, -nudge))
    slope = (up - down) / (2 * nudge)
    assert grad[0, 0, 0] == pytest.approx(slope, abs=1e-3)
    assert abs(wrong[0, 0, 0] - slope) > 0.5
    with pytest.raises(tf.errors.InvalidArgumentError, match="nonnegative"):
        theirs(uniform(), sparse(labels))
    with pytest.raises(ValueError, match="item 0: label 0 at position 0 is the blank"):
        ours(uniform(), sparse(labels))


def test_difference_a_loss_below_0():
    given = uniform((..., 1), 18), sparse([[1], [1]])
    assert theirs(*given)[0][0] < 0
    assert 0 <= ours(*given)[0][0] < 1e-6
