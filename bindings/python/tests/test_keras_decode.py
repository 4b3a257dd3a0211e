"""Compares `ctc_wgpu.keras.ctc_decode` with that of Keras 2, on the backend of KERAS_BACKEND."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from ctc_wgpu import beam_decode
from ctc_wgpu.keras import ctc_decode
from keras import ops
from support import draw

BACKEND = keras.backend.backend()
SEEDS = range(12)  # of 32 items each


def softmax(x):
    return np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)


def batch_of(seed, **choices):
    batch = draw(seed, blank=-1, **choices)
    return softmax(batch.logits), batch.logit_lengths


def numpy(answer):
    decoded, numbers = answer
    return [ops.convert_to_numpy(part) for part in decoded], ops.convert_to_numpy(numbers)


def original(*arguments, **choices):
    """Calls `ctc_decode` of Keras 2, which Keras still has for TensorFlow."""
    from keras.src.legacy.backend import ctc_decode as theirs

    decoded, numbers = theirs(*arguments, **choices)
    return [part.numpy() for part in decoded], numbers.numpy()


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_decoding_agrees_with_keras_2(seed):
    y_pred, lengths = batch_of(seed)
    (wanted,), numbers = original(y_pred, lengths)
    for given in (lengths, lengths[:, None].astype(np.int64)):
        (got,), ours = numpy(ctc_decode(y_pred, given))
        np.testing.assert_array_equal(got, wanted)
        assert ours.shape == numbers.shape == (len(lengths), 1)
        np.testing.assert_allclose(ours, numbers, rtol=1e-5, atol=1e-5)
    assert got.dtype == (np.int32 if BACKEND == "jax" else wanted.dtype)
    assert ours.dtype == numbers.dtype


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_decoding_agrees_with_keras_3(seed):
    y_pred, lengths = batch_of(seed)
    theirs, _ = keras.ops.ctc_decode(y_pred, lengths, strategy="greedy", mask_index=y_pred.shape[-1] - 1)
    (got,), _ = numpy(ctc_decode(y_pred, lengths))
    np.testing.assert_array_equal(got, ops.convert_to_numpy(theirs)[0])


def merged(row):
    """Merges equal neighbours, as Keras 2 does with the decoded labels."""
    labels = [label for place, label in enumerate(row) if label >= 0 and (place == 0 or label != row[place - 1])]
    return labels + [-1] * (len(row) - len(labels))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_agrees_with_keras_2_except_for_doubled_letters(seed):
    """This holds without pruning; with it, TensorFlow keeps other prefixes (test_tf_decode.py)."""
    y_pred, lengths = batch_of(seed)
    y_pred, lengths = softmax(np.log(y_pred[:, :6, -4:])), np.minimum(lengths, 6)
    wanted, numbers = original(y_pred, lengths, greedy=False, beam_width=2000, top_paths=3)
    got, ours = numpy(ctc_decode(y_pred, lengths, greedy=False, beam_width=2000, top_paths=3))
    assert len(got) == len(wanted) == 3
    assert ours.shape == numbers.shape == (len(lengths), 3)
    np.testing.assert_allclose(ours, numbers, rtol=1e-4, atol=1e-5)
    # The order of equally probable labels differs between libraries.
    apart = (np.diff(ours) < -1e-4).all(1)
    assert apart.mean() > 0.3
    for path in range(2):
        for mine, theirs in zip(got[path][apart], wanted[path][apart], strict=True):
            assert merged(mine) == theirs.tolist()


def test_a_doubled_letter_is_kept():
    """Keras 2 merges it, with the beam search only."""
    y_pred = np.array([[[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]]], np.float32)
    for greedy, theirs in [(True, [0, 0, -1]), (False, [0, -1, -1])]:
        assert original(y_pred, [3], greedy)[0][0].tolist() == [theirs]
        assert numpy(ctc_decode(y_pred, [3], greedy))[0][0].tolist() == [[0, 0, -1]]


def test_the_search_agrees_with_beam_decode():
    y_pred, lengths = batch_of(3)
    (got,), ours = numpy(ctc_decode(y_pred, lengths, greedy=False, beam_width=20))
    found = beam_decode(y_pred, lengths, width=20, blank=-1, input="probs", epsilon=keras.config.epsilon())
    for row, number, (best,) in zip(got, ours[:, 0], found, strict=True):
        assert row[row >= 0].tolist() == best.labels
        assert (row[len(best.labels) :] == -1).all()
        assert number == pytest.approx(best.log_prob)


def test_hypotheses_that_do_not_exist_are_padding():
    """One frame of two classes has the hypotheses "" and "0"; Keras 2 raises an error."""
    (first, second, third), numbers = numpy(ctc_decode(np.array([[[0.7, 0.3]]], np.float32), [1], False, 10, 3))
    assert (first.tolist(), second.tolist(), third.tolist()) == ([[0]], [[-1]], [[-1]])
    np.testing.assert_allclose(numbers, [[np.log(0.7), np.log(0.3), -np.inf]], rtol=1e-5)
    with pytest.raises(Exception, match="Less leaves in the beam search than requested"):
        original(np.array([[[0.7, 0.3]]], np.float32), [1], False, 10, 3)


@pytest.mark.parametrize("greedy", [True, False])
def test_nan_is_confined_to_its_item_and_results_of_half_precision_are_float32(greedy):
    y_pred = np.full((2, 3, 2), 0.5, np.float16)
    y_pred[0, 1, 0] = np.nan
    (got,), numbers = numpy(ctc_decode(y_pred, [3, 3], greedy))
    assert numbers.dtype == np.float32
    assert np.isnan(numbers[:, 0]).tolist() == [True, False]
    assert got[0].tolist() == [-1, -1, -1]
    assert got[1, 0] == 0


def test_an_empty_batch():
    for greedy in (True, False):
        (got,), numbers = numpy(ctc_decode(np.zeros((0, 3, 2), np.float32), np.zeros(0, int), greedy))
        assert (got.shape, numbers.shape) == ((0, 3), (0, 1))


@pytest.mark.parametrize("greedy", [True, False])
def test_it_works_in_a_model_and_in_its_graph(greedy):
    y_pred, lengths = batch_of(5)
    items, frames, classes = y_pred.shape
    x, n = keras.Input((frames, classes)), keras.Input((1,), dtype="int32")
    decode = keras.layers.Lambda(
        lambda inputs: ctc_decode(*inputs, greedy=greedy, beam_width=8)[0][0],
        output_shape=(frames,),
    )
    model = keras.Model([x, n], decode([x, n]))
    model.compile(jit_compile=BACKEND == "jax")
    (wanted,), _ = numpy(ctc_decode(y_pred, lengths, greedy, beam_width=8))
    np.testing.assert_array_equal(model.predict([y_pred, lengths[:, None]], verbose=0), wanted)
    assert wanted.shape == (items, frames)


def test_errors():
    y_pred = np.full((1, 3, 2), 0.5, np.float32)
    for greedy in (True, False):
        with pytest.raises(Exception, match="item 0: logit length 4 is out of range: expected 0 to 3 frames"):
            numpy(ctc_decode(y_pred, [4], greedy))
        with pytest.raises(Exception, match="item 0: -0.6931472 is not a probability.*: y_pred must be probabilities, after a softmax"):
            numpy(ctc_decode(np.log(y_pred), [3], greedy))
    with pytest.raises(Exception, match="item 0: the probabilities of its first frame sum to 3.0000, not to 1: y_pred must be"):
        numpy(ctc_decode(3 * y_pred, [3]))
    for choices in ({"beam_width": 2, "top_paths": 3}, {"top_paths": 0}):
        with pytest.raises(ValueError, match="must be 1 <= top_paths <= beam_width"):
            ctc_decode(y_pred, [3], False, **choices)
    with pytest.raises(Exception, match="must have 3 axes"):
        numpy(ctc_decode(y_pred[0], [3]))
