"""Random batches, and comparisons of results with float64."""

from dataclasses import dataclass

import ctc_wgpu
import numpy as np

LOSS_TOLERANCE = 1e-5  # relative to max(1, loss)
GRAD_TOLERANCE = 1e-5
GARBAGE = np.iinfo(np.int32).min


@dataclass
class Batch:
    """N items of T frames over C classes, with variable lengths, repeats and impossible items."""

    logits: np.ndarray  # [N, T, C], float32
    labels: np.ndarray  # [N, Lmax], int32; zeros past an item's length
    logit_lengths: np.ndarray
    label_lengths: np.ndarray
    blank: int

    @property
    def garbled(self):
        """The labels, with garbage in the padding."""
        past = np.arange(self.labels.shape[1]) >= self.label_lengths[:, None]
        return np.where(past, GARBAGE, self.labels).astype(np.int32)

    @property
    def possible(self):
        """A mask of the items with a frame for each label and one between equal ones."""
        within = np.arange(1, self.labels.shape[1]) < self.label_lengths[:, None]
        repeats = ((self.labels[:, 1:] == self.labels[:, :-1]) & within).sum(1)
        return self.label_lengths + repeats <= self.logit_lengths

    def only(self, items):
        """Returns the items that a mask selects."""
        return Batch(
            self.logits[items], self.labels[items], self.logit_lengths[items], self.label_lengths[items], self.blank
        )

    @property
    def concatenated(self):
        """The labels of all items, concatenated."""
        return np.concatenate([row[:length] for row, length in zip(self.labels, self.label_lengths, strict=True)])


def draw(seed, *, items=32, blank=None, least_labels=0, blanks_in_labels=False):
    """Generates a random batch, whose shape depends on the seed."""
    rng = np.random.default_rng(seed)
    frames, classes, labels = (int(rng.integers(*bounds)) for bounds in [(8, 40), (3, 24), (1, 9)])
    blank = int(rng.integers(classes)) if blank is None else blank % classes
    values = rng.integers(0, classes - 1, (items, labels))
    values += values >= blank
    for position in range(1, labels):
        again = rng.random(items) < 0.3
        values[again, position] = values[again, position - 1]
    if blanks_in_labels:
        values[rng.random(values.shape) < 0.2] = blank
    label_lengths = rng.integers(least_labels, labels + 1, items)
    values[np.arange(labels) >= label_lengths[:, None]] = 0
    return Batch(
        logits=(rng.normal(size=(items, frames, classes)) * rng.choice([0.3, 1, 4])).astype(np.float32),
        labels=values.astype(np.int32),
        logit_lengths=rng.integers(3, frames + 1, items).astype(np.int32),
        label_lengths=label_lengths.astype(np.int32),
        blank=blank,
    )


def assert_close(loss, grad, true_loss, true_grad, what=""):
    """Compares our float32 results with float64."""
    loss, true_loss = np.asarray(loss, np.float64), np.asarray(true_loss, np.float64)
    assert loss.shape == true_loss.shape, what
    assert np.isfinite(true_loss).all(), what
    loss_error = np.abs(loss - true_loss) / np.maximum(1, true_loss)
    assert loss_error.max() <= LOSS_TOLERANCE, f"{what}: loss off by {loss_error.max()}"
    grad, true_grad = np.asarray(grad, np.float64), np.asarray(true_grad, np.float64)
    assert grad.shape == true_grad.shape, what
    grad_error = np.abs(grad - true_grad).max()
    assert grad_error <= GRAD_TOLERANCE, f"{what}: gradient off by {grad_error}"


def require_adapter_beside_tensorflow():
    """Fails if the process would abort: TensorFlow's LLVM replaces that of Mesa's drivers."""
    name = ctc_wgpu.backend_name("gpu")
    assert "llvmpipe" not in name, f"{name} does not work beside TensorFlow: set VK_DRIVER_FILES as test.sh does"
