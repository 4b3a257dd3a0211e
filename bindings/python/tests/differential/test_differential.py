"""Compares the library with an independent oracle; `run.py` runs more such cases by hand."""

from itertools import product

import decoding
import numpy as np
import pytest
import run
from cases import ROUND, make
from ctc_wgpu import EditCounts, ctc_loss_and_grad
from oracle import Lattice, answer, forward_backward

#: The number of cases per test.
CASES = 96


@pytest.mark.parametrize("first", range(0, ROUND, CASES))
def test_losses_and_gradients_are_right(first):
    found = [text for number in range(first, first + CASES) for text in run.failures(make(number))]
    assert not found, "\n".join([f"{len(found)} failures", *found[:20]])


@pytest.mark.parametrize("first", range(0, ROUND, 4 * CASES))
def test_alignment_and_decoding_are_right(first):
    found = [text for number in range(first, first + 4 * CASES, 4) for text in decoding.failures(make(number))]
    assert not found, "\n".join([f"{len(found)} failures", *found[:20]])


@pytest.mark.parametrize("backend", run.BACKENDS)
@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 0, 2, 0), (2, 0, 2, 2), (2, 3, 1, 0), (2, 3, 2, 0), (1, 1, 1, 0)])
def test_empty_axes(backend, shape):
    items, frames, classes, width = shape
    rng = np.random.default_rng(sum(shape))
    values = rng.normal(size=(items, frames, classes)).astype(np.float32)
    labels = np.ones((items, width), np.int32)
    for reduction in ("none", "mean_batch", "mean_label", "mean_volume", "mean_weighted"):
        loss, grad = ctc_loss_and_grad(values, labels, reduction=reduction, backend=backend)
        right = answer(
            values, labels.tolist(), [frames] * items, blank=0, input="logits", epsilon=0.0, reduction=reduction,
            impossible="inf", repeated_labels="keep", repeated_outputs="merge",
        )  # fmt: skip
        np.testing.assert_allclose(loss, right.loss if reduction == "none" else right.reduced, rtol=1e-6, atol=1e-6)
        assert grad.shape == values.shape
        np.testing.assert_allclose(grad, right.grad, atol=1e-5)


def collapse(path, blank, outputs):
    """Returns the labels of a path."""
    kept = [c for t, c in enumerate(path) if outputs == "distinct" or t == 0 or path[t - 1] != c]
    return tuple(c for c in kept if c != blank)


@pytest.mark.parametrize("outputs", ["merge", "distinct"])
@pytest.mark.parametrize("blank", [0, 1, 2])
def test_the_oracle_counts_all_paths(blank, outputs):
    """Compares it with an enumeration."""
    frames, classes = 5, 3
    rng = np.random.default_rng(blank)
    log_probs = np.log(rng.dirichlet(np.ones(classes), frames))
    paths = np.array(list(product(range(classes), repeat=frames)))
    of_path = np.exp(log_probs[np.arange(frames), paths].sum(1))
    of_paths = [collapse(path, blank, outputs) for path in paths.tolist()]
    for labels in set(of_paths):
        chosen = np.array([one == labels for one in of_paths])
        total = of_path[chosen].sum()
        lattice = Lattice([list(labels)], blank=blank, repeated_outputs=outputs)
        log_p, occupancy = forward_backward(log_probs[None], np.array([frames]), lattice)
        assert log_p[0] == pytest.approx(np.log(total), abs=1e-12)
        for k in range(classes):
            right = ((paths == k) * of_path[:, None])[chosen].sum(0) / total
            np.testing.assert_allclose(occupancy[0, :, k], right, atol=1e-12)


@pytest.mark.parametrize("input", ["logits", "log_probs_exact", "probs"])
def test_the_gradient_of_the_oracle_agrees_with_finite_differences(input):
    rng = np.random.default_rng(5)
    values = rng.uniform(0.1, 1, (2, 6, 4))
    weights = np.array([0.7, -1.3])

    def total(values):
        return answer(
            values, [[1, 1, 2], [3]], [6, 4], weights, blank=0, input=input, epsilon=1e-3, reduction="mean_label",
            impossible="inf", repeated_labels="keep", repeated_outputs="merge",
        )  # fmt: skip

    grad, step = total(values).grad, 1e-6
    for index in np.ndindex(values.shape):
        up, down = values.copy(), values.copy()
        up[index] += step
        down[index] -= step
        slope = (total(up).reduced - total(down).reduced) / (2 * step)
        assert grad[index] == pytest.approx(slope, abs=1e-8)


def fewest_edits(labels, hypothesis):
    """Minimises over all sequences: fewest edits, then most substitutions, then most deletions."""
    table = {}
    for i, j in product(range(len(labels) + 1), range(len(hypothesis) + 1)):
        ways = [(0, 0, 0, 0)] if i == j == 0 else []
        if i and j:
            total, s, d, n = table[i - 1, j - 1]
            other = labels[i - 1] != hypothesis[j - 1]
            ways.append((total + other, s - other, d, n))
        if i:
            total, s, d, n = table[i - 1, j]
            ways.append((total + 1, s, d - 1, n))
        if j:
            total, s, d, n = table[i, j - 1]
            ways.append((total + 1, s, d, n + 1))
        table[i, j] = min(ways)
    _, s, d, n = table[len(labels), len(hypothesis)]
    return -s, -d, n


def test_edit_counts_are_minimal():
    rng = np.random.default_rng(0)
    for _ in range(500):
        labels, hypothesis = (
            rng.integers(0, rng.integers(1, 5), rng.integers(0, 9)).tolist() for _ in range(2)
        )
        counts = EditCounts.between(labels, hypothesis)
        found = counts.substitutions, counts.deletions, counts.insertions
        assert found == fewest_edits(labels, hypothesis)
