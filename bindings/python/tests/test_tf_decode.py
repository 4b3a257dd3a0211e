"""Compares `greedy_decode` and `beam_decode` with the decoders of TensorFlow, on its tensors."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from ctc_wgpu import beam_decode, greedy_decode, label_error_rate
from support import draw

SEEDS = range(12)  # of 32 items each


def rows(sparse, items):
    """Converts sparse labels to a list per item."""
    found = [[] for _ in range(items)]
    for (item, _), label in zip(sparse.indices.numpy(), sparse.values.numpy(), strict=True):
        found[item].append(int(label))
    return found


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_decoding_agrees_with_tensorflow(seed, merge):
    batch = draw(seed)
    x = tf.constant(batch.logits.transpose(1, 0, 2))
    (decoded,), score = tf.nn.ctc_greedy_decoder(x, batch.logit_lengths, merge_repeated=merge, blank_index=batch.blank)
    found = greedy_decode(
        x,
        batch.logit_lengths,
        layout="tnc",
        blank=batch.blank,
        repeated_outputs="merge" if merge else "distinct",
    )
    assert [one.labels for one in found] == rows(decoded, len(found))
    # TensorFlow adds logits as they are; the probability of a path needs them normalised.
    normalised = tf.nn.log_softmax(x)
    _, score = tf.nn.ctc_greedy_decoder(normalised, batch.logit_lengths, merge_repeated=merge, blank_index=batch.blank)
    assert [-one.log_prob for one in found] == pytest.approx(score.numpy()[:, 0].tolist(), rel=1e-4, abs=1e-4)


def both(batch, width, top):
    """Returns our labels and losses of each item's hypotheses, then TensorFlow's."""
    tops, log_probs = tf.nn.ctc_beam_search_decoder(batch.logits.transpose(1, 0, 2), batch.logit_lengths, beam_width=width, top_paths=top)
    tops = [rows(sparse, len(batch.logits)) for sparse in tops]
    theirs = [[labels[item] for labels in tops] for item in range(len(batch.logits))]
    found = beam_decode(tf.constant(batch.logits), batch.logit_lengths, blank=-1, width=width, top=top)
    losses = np.array([[-one.log_prob for one in item] for item in found])
    return [[one.labels for one in item] for item in found], losses, theirs, -log_probs.numpy()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_pruning_the_beam_search_agrees_with_tensorflow(seed):
    batch = draw(seed, blank=-1)
    batch.logits, batch.blank = batch.logits[:, :6, -4:].copy(), 3
    batch.logit_lengths = np.minimum(batch.logit_lengths, 6)
    labels, losses, their_labels, their_losses = both(batch, width=2000, top=5)
    np.testing.assert_allclose(losses, their_losses, rtol=1e-5, atol=1e-5)
    # The order of equally probable labels differs between libraries; they are rare.
    apart = (np.diff(losses) > 1e-4).all(1)
    assert apart.mean() > 0.5
    for item in np.flatnonzero(apart):
        assert labels[item] == their_labels[item]


@pytest.mark.parametrize("width", [4, 16, 100])
def test_with_pruning_both_find_the_same_labels_for_most_items(width):
    """TensorFlow keeps slightly different prefixes; ours are those of the published algorithm, see
    test_decode.py."""
    same, close = [], []
    for seed in SEEDS:
        labels, losses, their_labels, their_losses = both(draw(seed, blank=-1), width, top=1)
        same += [ours == theirs for ours, theirs in zip(labels, their_labels, strict=True)]
        close += (np.abs(losses - their_losses) < 1e-3).ravel().tolist()
    assert len(same) == 384
    assert np.mean(same) > 0.97
    assert np.mean(close) > 0.9


def test_label_error_rate_of_tensors_of_strings():
    """TensorFlow aborts a process that requests such a tensor by DLPack."""
    letters = tf.constant([["a", "b"]])
    assert label_error_rate(letters, letters) == label_error_rate(letters, [[b"a", b"b"]]) == 0
    with pytest.raises(TypeError, match="labels contain bytes and the hypothesis contains strings"):
        label_error_rate(letters, [["a", "b"]])
    with pytest.raises(TypeError, match="logits is an array of object"):
        greedy_decode(letters)
    for tensor in (tf.ragged.constant([[1, 2], [3]]), tf.sparse.from_dense([[1, 2]])):
        with pytest.raises(TypeError, match="labels has a .*Tensor: must be sequences"):
            label_error_rate(tensor, [[1, 2], [3]])
