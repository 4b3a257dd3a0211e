"""`ctc_wgpu.keras`, on the Keras backend that KERAS_BACKEND selects."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from ctc_wgpu import ctc_loss, ctc_loss_and_grad
from ctc_wgpu.keras import CTC, CTCLayer, ctc_batch_cost, ctc_decode
from keras import ops
from support import assert_close, draw, require_adapter_beside_tensorflow

BACKEND = keras.backend.backend()
# JAX compiles the losses of Keras again for each shape.
SEEDS = range(3 if BACKEND == "jax" else 8)
FRAMES, HEIGHT, CLASSES = 12, 6, 5


def step(loss_of, values):
    """Returns losses and the gradient of their sum with respect to `values`, as numpy arrays."""
    if BACKEND == "torch":
        import torch

        x = torch.tensor(values, requires_grad=True)
        loss = loss_of(x)
        loss.sum().backward()
        return loss.detach().numpy(), x.grad.numpy()
    if BACKEND == "jax":
        import jax

        loss, pull = jax.vjp(loss_of, values)
        return np.asarray(loss), np.asarray(pull(np.ones_like(loss))[0])
    return tensorflow_step(loss_of, values)


def tensorflow_step(loss_of, values):
    import tensorflow as tf

    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = loss_of(x)
    return loss.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("seed", SEEDS)
def test_batch_cost_agrees_with_that_of_keras_2_in_float64(seed, backend):
    import tensorflow as tf
    from keras.src.legacy.backend import ctc_batch_cost as original

    if backend == "gpu":
        require_adapter_beside_tensorflow()
    # Keras rejects an item without labels.
    batch = draw(seed, blank=-1, least_labels=1)
    batch = batch.only(batch.possible)
    lengths = batch.logit_lengths[:, None], batch.label_lengths[:, None]
    expected = tensorflow_step(
        lambda x: original(batch.labels.astype(float), tf.nn.softmax(x), *lengths), batch.logits.astype(float)
    )
    garbled = batch.garbled.astype(np.float32)  # Data sets often have float labels.
    got = step(lambda x: ctc_batch_cost(garbled, ops.softmax(x), *lengths, backend=backend), batch.logits)
    assert got[0].shape == (len(batch.labels), 1)
    assert_close(*got, *expected)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_loss_agrees_with_the_reference_and_with_keras_losses_ctc(seed, reduction):
    """On PyTorch and JAX, the float32 gradient of `keras.losses.CTC` has errors of 1e-4."""
    batch = draw(seed, blank=0)
    batch.logit_lengths[:] = batch.logits.shape[1]
    batch = batch.only(batch.possible)
    got = step(lambda x: CTC(reduction=reduction, backend="cpu")(batch.labels, x), batch.logits)
    theirs = step(lambda x: keras.losses.CTC(reduction=reduction)(batch.labels, x), batch.logits)
    true = ctc_loss_and_grad(
        batch.logits,
        batch.labels,
        label_lengths=batch.label_lengths,
        reduction={"sum_over_batch_size": "mean_batch", "sum": "sum", None: "none"}[reduction],
        backend="reference",
    )
    scale = len(batch.labels) if reduction == "sum" else 1
    assert_close(got[0] / scale, got[1], true[0] / scale, true[1])
    np.testing.assert_allclose(theirs[0], true[0], rtol=1e-4)
    np.testing.assert_allclose(theirs[1], true[1], atol=1e-3)


def test_the_loss_of_probabilities_with_the_blank_last_equals_batch_cost():
    batch = draw(3, blank=-1)
    batch.logit_lengths[:] = batch.logits.shape[1]
    batch = batch.only(batch.possible)
    probabilities = np.asarray(ops.softmax(batch.logits))
    padded = np.where(np.arange(batch.labels.shape[1]) < batch.label_lengths[:, None], batch.labels, -1)
    lengths = batch.logit_lengths[:, None], batch.label_lengths[:, None]
    expected = step(lambda x: ctc_batch_cost(batch.labels, x, *lengths, backend="cpu")[:, 0], probabilities)
    loss = CTC(from_logits=False, blank=-1, mask_value=-1, reduction=None, backend="cpu")
    for got, wanted in zip(step(lambda x: loss(padded, x), probabilities), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_impossible_items():
    logits = np.zeros((2, 3, 4), np.float32)
    labels = np.array([[1, 1, 1], [1, 2, 3]])
    for zero, wanted in [(False, np.inf), (True, 0)]:
        loss, grad = step(lambda x: CTC(zero_infinity=zero, reduction=None, backend="cpu")(labels, x), logits)
        assert loss[0] == wanted
        assert np.isfinite(loss[1])
        assert (grad[0] == 0).all()


def test_sample_weights_multiply_losses():
    batch = draw(4, blank=0)
    batch.logit_lengths[:] = batch.logits.shape[1]
    batch = batch.only(batch.possible)
    weights = np.linspace(0, 2, len(batch.labels)).astype(np.float32)
    loss = CTC(reduction=None, backend="cpu")
    _, once = step(lambda x: loss(batch.labels, x), batch.logits)
    _, weighted = step(lambda x: loss(batch.labels, x, sample_weight=weights), batch.logits)
    np.testing.assert_allclose(weighted, once * weights[:, None, None], rtol=1e-6, atol=1e-9)
    for same in (weights.tolist(), weights[:, None]):
        np.testing.assert_allclose(step(lambda x, w=same: loss(batch.labels, x, sample_weight=w), batch.logits)[1], weighted)
    _, thrice = step(lambda x: loss(batch.labels, x, sample_weight=3.0), batch.logits)
    np.testing.assert_allclose(thrice, once * 3, rtol=1e-6)


def test_difference_an_impossible_item():
    labels, logits = np.array([[1, 1, 1]]), np.zeros((1, 3, 4), np.float32)
    (theirs,) = ops.convert_to_numpy(keras.losses.CTC(reduction=None)(labels, logits))
    low, high = {"tensorflow": (700, 720), "torch": (np.inf, np.inf), "jax": (1e5, 1.001e5)}[BACKEND]
    assert low <= theirs <= high


def test_labels_after_padding_are_an_error():
    """`keras.losses.CTC` uses the first two labels, 1 and 0, of [1, 0, 2]."""
    logits = np.random.default_rng(0).normal(size=(1, 5, 4)).astype(np.float32)
    (theirs,) = ops.convert_to_numpy(keras.losses.CTC(reduction=None)(np.array([[1, 0, 2]]), logits))
    (loss,) = ctc_loss(logits, [[1, 0]], blank_in_labels="allow", backend="reference")
    assert theirs == pytest.approx(loss, rel=1e-4)
    with pytest.raises(Exception, match="label 0 at position 1 is the blank"):
        ops.convert_to_numpy(CTC(backend="cpu")(np.array([[1, 0, 2]]), np.zeros((1, 5, 4), np.float32)))


def lines(items=48):
    """Generates a task that is learnt in seconds: a label is a bright column between dark ones."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (items, FRAMES, HEIGHT)).astype(np.float32)
    labels = np.full((items, 3), -1)
    for item in range(items):
        length = rng.integers(1, 4)
        labels[item, :length] = rng.integers(0, CLASSES - 1, length)
        for position in range(length):
            x[item, 1 + 3 * position, labels[item, position]] += 2
    return x, labels


def body(softmax=True, masked=False):
    line = keras.Input((FRAMES, HEIGHT), name="line")
    x = keras.layers.Masking()(line) if masked else line
    x = keras.layers.Dense(24, activation="gelu")(x)
    x = keras.layers.Dense(CLASSES, activation="softmax" if softmax else None, name="classes")(x)
    return line, x


def initialise(model):
    """Initialises the weights equally on each backend, such that the model learns quickly."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def with_loss(loss=None, **choices):
    line, y_pred = body(**choices)
    model = initialise(keras.Model(line, y_pred))
    loss = loss or CTC(from_logits=False, blank=-1, mask_value=-1, backend="cpu")
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, jit_compile=BACKEND == "jax")
    return model


def with_layer(**inputs):
    """Returns the model for training, and the model for prediction, which shares its weights."""
    line, y_pred = body()
    labels = keras.Input((3,), name="labels", dtype="int32")
    lengths = {name: keras.Input((1,), name=name, dtype="int32") for name in inputs}
    out = CTCLayer(backend="cpu", name="ctc")(labels, y_pred, **lengths)
    model = initialise(keras.Model([line, labels, *lengths.values()], out))
    model.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=BACKEND == "jax")
    return model, keras.Model(line, y_pred)


def share_correct(model):
    x, labels = lines()
    best = np.asarray(model.predict(x, verbose=0)).argmax(-1)
    right = 0
    for row, truth in zip(best, labels, strict=True):
        decoded = [c for t, c in enumerate(row) if c != CLASSES - 1 and (t == 0 or row[t - 1] != c)]
        right += decoded == truth[truth >= 0].tolist()
    return right / len(x)


def test_a_model_with_the_loss_learns_and_can_be_saved(tmp_path):
    x, labels = lines()
    model = with_loss()
    history = model.fit(x, labels, batch_size=16, epochs=60, verbose=0, shuffle=False, validation_data=(x, labels))
    assert history.history["loss"][-1] < history.history["loss"][0] / 4
    assert share_correct(model) > 0.9
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    assert again.evaluate(x, labels, verbose=0) == pytest.approx(model.evaluate(x, labels, verbose=0), rel=1e-5)
    again.fit(x, labels, batch_size=16, epochs=1, verbose=0)


def test_a_model_with_the_layer_learns_and_can_be_saved_and_predicts_without_it(tmp_path):
    x, labels = lines()
    model, predictor = with_layer()
    history = model.fit([x, labels], batch_size=16, epochs=60, verbose=0, shuffle=False)
    assert history.history["loss"][-1] < history.history["loss"][0] / 4
    assert share_correct(predictor) > 0.9
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    again.compile(optimizer="adam", jit_compile=BACKEND == "jax")
    assert again.evaluate([x, labels], verbose=0) == pytest.approx(model.evaluate([x, labels], verbose=0), rel=1e-5)
    cut = keras.Model(again.inputs[0], again.get_layer("classes").output)
    np.testing.assert_allclose(cut.predict(x, verbose=0), predictor.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_the_loss_and_the_layer_agree_with_lengths_as_inputs():
    x, labels = lines()
    expected = with_loss().evaluate(x, labels, batch_size=48, verbose=0)
    model, _ = with_layer()
    assert model.evaluate([x, labels], batch_size=48, verbose=0) == pytest.approx(expected, rel=1e-5)
    model, _ = with_layer(input_length=True, label_length=True)
    given = [x, np.abs(labels), np.full((48, 1), FRAMES), (labels >= 0).sum(1, keepdims=True)]
    assert model.evaluate(given, batch_size=48, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_masking_layer_selects_the_valid_frames():
    x, labels = lines()
    x[:, 10:] = 0
    masked = with_loss(masked=True).evaluate(x, labels, batch_size=48, verbose=0)
    model, _ = with_layer(input_length=True)
    given = [x, labels, np.full((48, 1), 10)]
    assert masked == pytest.approx(model.evaluate(given, batch_size=48, verbose=0), rel=1e-5)
    assert masked != pytest.approx(with_loss().evaluate(x, labels, batch_size=48, verbose=0), rel=1e-3)


# The valid frames of three items: with padding before them (the default of `pad_sequences`), with
# masked frames between them, and with padding after them.
VALID = np.array([[0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1], [1] * 9 + [0] * 3], bool)


def loss_of_valid_frames(model, x, labels, count):
    """Computes the mean loss without the masked frames, by the reference."""
    losses = []
    for frames, row, here in zip(model.predict(x, verbose=0), labels, count, strict=True):
        given = frames[here][None].astype(float), row[None, row >= 0]
        losses.append(ctc_loss(*given, input="probs", blank=-1, epsilon=keras.config.epsilon(), backend="reference")[0])
    return np.mean(losses)


def masked_lines():
    x, labels = (part[:3] for part in lines())
    x[~VALID] = 0
    return x, labels


def test_a_mask_may_be_false_at_any_frame():
    x, labels = masked_lines()
    model = with_loss(masked=True)
    expected = loss_of_valid_frames(model, x, labels, VALID)
    assert model.evaluate(x, labels, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(x, labels, epochs=3, verbose=0)
    assert model.evaluate(x, labels, verbose=0) < expected


@pytest.mark.parametrize("lengths", [None, [12, 7, 4]])
def test_the_layer_combines_the_mask_with_the_input_length(lengths):
    x, labels = masked_lines()
    line, y_pred = body(masked=True)
    inputs = [line, keras.Input((3,), dtype="int32")] + ([keras.Input((1,), dtype="int32")] if lengths else [])
    model = initialise(keras.Model(inputs, CTCLayer(backend="cpu")(inputs[1], y_pred, *inputs[2:])))
    model.compile(jit_compile=BACKEND == "jax")
    count = VALID & (np.arange(FRAMES) < np.reshape(lengths or FRAMES, (-1, 1)))
    expected = loss_of_valid_frames(keras.Model(line, y_pred), x, labels, count)
    given = [x, labels] + ([np.array(lengths)[:, None]] if lengths else [])
    assert model.evaluate(given, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_masked_frames_have_a_gradient_of_0():
    x = np.random.default_rng(0).normal(size=(3, FRAMES, CLASSES)).astype(np.float32)
    x[0, 0] = np.nan

    def loss(x):
        return CTCLayer(from_logits=True, blank=0, backend="cpu")._item_losses(
            np.array([[1, 2], [3, 3], [1, 4]]), x, ops.convert_to_tensor(VALID)
        )

    losses, grad = step(loss, x)
    assert np.isfinite(losses).all()
    assert (grad[~VALID] == 0).all()
    assert (np.abs(grad[VALID]).max(-1) > 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_loss_of_half_precision_is_float32(dtype):
    """The sum is above 65504, the largest number of half precision."""
    x = ops.cast(np.random.default_rng(0).normal(size=(16, 3000, 20)), dtype)
    labels = np.full((16, 5), 7)
    expected = ctc_loss(np.asarray(ops.convert_to_numpy(ops.cast(x, "float32"))), labels, reduction="sum", backend="cpu")
    for kind in (None, dtype):
        loss = CTC(reduction="sum", dtype=kind, backend="cpu")(labels, x)
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"
        assert float(loss) == pytest.approx(expected, rel=1e-5)
    cost = ctc_batch_cost(labels, ops.softmax(x), np.full((16, 1), 3000), np.full((16, 1), 5), backend="cpu")
    assert keras.backend.standardize_dtype(cost.dtype) == "float32"
    # Half precision would round this label to 2048.
    wide = np.zeros((1, 1, 2051), np.float32)
    wide[0, 0, 2049] = 20
    assert float(CTC(dtype=dtype, backend="cpu")(np.array([[2049]]), wide)) < 1e-3


LOGITS, PROBABILITIES = np.zeros((1, 5, 4), np.float32), np.full((1, 5, 4), 0.25, np.float32)
BAD = {
    "label": (CTC(), ([[1, 4]], LOGITS), "y_true: item 0: label 4 at position 1 is out of range: expected 0 to 3 for 4 classes"),
    "padding": (CTC(), ([[1, -1]], LOGITS), "y_true: item 0: label -1 at position 1 is out of range.*mask_value must be that number"),
    "padding in front": (CTC(), ([[0, 0, 1, 2]], LOGITS), "y_true: item 0: label 0 at position 0 is the blank"),
    "no integer": (CTC(), ([[1.5]], LOGITS), "y_true: item 0: label 1.5 at position 0 is not an integer"),
    "NaN": (CTC(), ([[np.nan]], LOGITS), "y_true: item 0: label nan at position 0 is not an integer"),
    "a label that would wrap": (CTC(), (np.array([[2**63]], np.uint64), LOGITS), "label 9223372036854775808 at"),
    "masked labels": (CTC(), (np.ma.masked_array([[1, 2]], mask=[[0, 1]]), LOGITS), "y_true is a masked array"),
    "a padding that is a class": (CTC(mask_value=3), ([[1, 3]], LOGITS), "mask_value=3 is one of 4 classes: must be the blank, 0, or not a"),
    "weights of frames": (CTC(), ([[1]], LOGITS, np.ones((1, 5))), r"sample_weight has shape \(1, 5\): must be one number per item"),
    "weights of three axes": (CTC(), ([[1]], LOGITS, np.ones((1, 1, 1))), r"sample_weight has shape \(1, 1, 1\): must be one number"),
    "labels of batch cost": (ctc_batch_cost, ([[7, 1]], PROBABILITIES, [[5]], [[2]]), "y_true: item 0: label 7 at position 0"),
    "input length": (ctc_batch_cost, ([[1, 1]], PROBABILITIES, [[6]], [[2]]), "input_length: item 0: logit length 6 is out of range"),
    "no whole length": (ctc_batch_cost, ([[1, 1]], PROBABILITIES, [[1.5]], [[2]]), "input_length: item 0: logit length 1.5 is not an"),
    "label length": (ctc_batch_cost, ([[1, 1]], PROBABILITIES, [[5]], [[3]]), "label_length: item 0: label length 3 is out of range"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_errors_name_the_arguments_as_keras_does(bad):
    function, arguments, message = bad
    with pytest.raises(ValueError, match=f"{message}"):
        function(*(np.asanyarray(given) for given in arguments))


def test_values_that_are_not_integers_are_not_rounded():
    for choice in ({"blank": 1.5}, {"mask_value": -1.5}):
        for kind in (CTC, CTCLayer):
            with pytest.raises(TypeError):
                kind(**choice)
    for labels in (np.array([[True]]), np.array([["a"]])):
        with pytest.raises(TypeError, match="y_true is an array of .*: must contain integers"):
            CTC()(labels, LOGITS)


def test_flags_must_be_true_or_false():
    for choice in ({"zero_infinity": "False"}, {"from_logits": "False"}, {"from_logits": None}):
        for kind in (CTC, CTCLayer):
            with pytest.raises(TypeError, match="must be True or False"):
                kind(**choice)
    assert CTC(from_logits=np.True_, zero_infinity=0).get_config()["zero_infinity"] is False
    with pytest.raises(TypeError, match="greedy='False': must be True or False"):
        ctc_decode(PROBABILITIES, [5], greedy="False")


def test_batch_cost_in_a_lambda_works_as_in_keras_2():
    x, labels = lines()
    line, y_pred = body()
    inputs = [keras.Input((width,), dtype="int32") for width in (3, 1, 1)]
    cost = keras.layers.Lambda(
        lambda args: ctc_batch_cost(*args, backend="cpu"), output_shape=(1,), name="ctc"
    )([inputs[0], y_pred, *inputs[1:]])
    model = initialise(keras.Model([line, *inputs], cost))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=lambda y_true, y_pred: y_pred, jit_compile=BACKEND == "jax")
    given = [x, np.abs(labels), np.full((48, 1), FRAMES), (labels >= 0).sum(1, keepdims=True)]
    history = model.fit(given, np.zeros(48), batch_size=16, epochs=10, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_an_invalid_label_stops_fit_with_its_item():
    x, labels = lines(16)
    labels[3, 0] = CLASSES
    with pytest.raises(Exception, match=f"item 3: label {CLASSES} at position 0 is out of range: expected 0 to {CLASSES - 1} for {CLASSES} classes"):
        with_loss().fit(x, labels, batch_size=16, verbose=0, shuffle=False)


def test_configurations_contain_all_arguments():
    choices = {
        "from_logits": False,
        "blank": -1,
        "mask_value": 99,
        "zero_infinity": True,
        "epsilon": 1e-5,
        "backend": "cpu",
    }
    for kind in (CTC, CTCLayer):
        made = kind(**choices)
        config = kind.from_config(made.get_config()).get_config()
        assert config == made.get_config()
        assert choices.items() <= config.items()
