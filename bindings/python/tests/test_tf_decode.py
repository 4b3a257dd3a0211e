"""`ctc_wgpu.greedy_decode` and `beam_decode` beside TensorFlow's decoders, over TensorFlow's tensors."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from ctc_wgpu import beam_decode, greedy_decode
from support import draw

SEEDS = range(12)  # of 32 items each


def rows(sparse, items):
    """The labels of each item."""
    found = [[] for _ in range(items)]
    for (item, _), label in zip(sparse.indices.numpy(), sparse.values.numpy(), strict=True):
        found[item].append(int(label))
    return found


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_likeliest_path_is_read_as_tensorflow_reads_it(seed, merge):
    batch = draw(seed)
    x = tf.constant(batch.logits.transpose(1, 0, 2))
    (read,), score = tf.nn.ctc_greedy_decoder(x, batch.logit_lengths, merge_repeated=merge, blank_index=batch.blank)
    readings = greedy_decode(
        x, batch.logit_lengths, layout="tnc", blank=batch.blank, repeated_outputs="merge" if merge else "distinct"
    )
    assert [one.labels for one in readings] == rows(read, len(readings))
    # That adds logits as they are; a path's probability needs them normalised.
    normalised = tf.nn.log_softmax(x)
    _, score = tf.nn.ctc_greedy_decoder(normalised, batch.logit_lengths, merge_repeated=merge, blank_index=batch.blank)
    assert [one.score for one in readings] == pytest.approx(score.numpy()[:, 0].tolist(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("width", [4, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_finds_what_tensorflow_finds(seed, width):
    batch = draw(seed, blank=-1)
    top = min(3, width)
    tops, log_probs = tf.nn.ctc_beam_search_decoder(
        batch.logits.transpose(1, 0, 2), batch.logit_lengths, beam_width=width, top_paths=top
    )
    tops = [rows(sparse, len(batch.logits)) for sparse in tops]
    found = beam_decode(tf.constant(batch.logits), batch.logit_lengths, blank=-1, width=width, top=top)
    losses = np.array([[one.loss for one in item] for item in found])
    np.testing.assert_allclose(losses, -log_probs.numpy(), rtol=1e-4, atol=1e-4)
    for item, candidates in enumerate(found):
        assert [one.labels for one in candidates] == [rows[item] for rows in tops]
