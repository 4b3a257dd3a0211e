"""CTC by its definition, in numpy and float64 logarithms.

This is written from the table of semantics on the crate's front page and from Graves et al. 2006,
and shares no code with the library: neither with its kernels nor with its float64 reference. The
tests compare every backend with it.

Each frame is normalised by its largest state before the recursion, and the offsets are summed
separately. Float64 then suffices for all that the library guarantees, down to probabilities of
e^(-2^30): an exponent of that size is resolved to 1.2e-7.
"""

from dataclasses import dataclass
from math import fsum

import numpy as np

#: A probability of e^-LEAST or less counts as 0.
LEAST = 2.0**30
#: An item with a log-probability above this has the status NOT_FINITE.
MOST = 88.0
#: A sum p + epsilon below the smallest normal number of float32 counts as 0.
SMALLEST = 1.2e-38
#: A loss that is below 0 by less than this is 0: the difference is a rounding error.
ROUNDING = 1e-6
#: One float32 step above LEAST, or two below. A number this near to LEAST that is not itself a
#: float32 may be rounded to either side of that threshold.
THRESHOLD = 128.0

OK, IMPOSSIBLE, NOT_FINITE = "ok", "impossible", "not finite"


@dataclass
class Answer:
    """The correct results of a batch."""

    loss: np.ndarray  # [N]
    formula: np.ndarray  # [N]: the loss before rounding and thresholds
    status: np.ndarray  # [N]
    grad: np.ndarray  # [N, T, C]
    reduced: float | None
    scale: np.ndarray  # [N]: the factor of each loss in the reduced loss
    unit: np.ndarray  # [N, T, C]: the scale of each element of the gradient
    undecided: np.ndarray  # [N]: whether a rounding error decides between "ok" and "impossible"


@dataclass
class Frames:
    """Log-probabilities of the classes, `[N, T, C]`."""

    log_probs: np.ndarray
    finite: np.ndarray  # [N, T]
    undecided: np.ndarray  # where a rounding error decides whether a probability counts as 0
    biased: np.ndarray | None  # p + epsilon if the input is probabilities


def log_sum(*logs):
    """Returns ln of the sum of numbers whose logarithms are passed."""
    most = np.maximum.reduce(logs)
    top = np.where(np.isneginf(most), 0.0, most)
    return top + np.log(sum(np.exp(log - top) for log in logs))


def frames_of(values, *, input, epsilon):
    """Converts the input to log-probabilities."""
    biased = None
    scores = np.asarray(values, np.float64)
    if input == "probs":
        biased = scores + np.float64(np.float32(epsilon))
        biased = np.where(np.abs(biased) < SMALLEST, 0.0, biased)
        scores = np.log(biased)  # NaN for a negative one
    logs = input in ("log_probs", "log_probs_exact")
    top = scores.max(-1, initial=-np.inf)  # NaN if there is one
    finite = (top <= MOST) & (top > -LEAST) if logs else np.isfinite(top)
    top = np.where(finite, top, 0.0)[..., None]
    relative = np.where(finite[..., None], scores, 0.0) - top
    # Log-probabilities are used as they are, other inputs relative to the largest of their frame.
    depth = np.where(finite[..., None], scores, 0.0) if logs else relative
    undecided = (np.abs(depth + LEAST) <= THRESHOLD) & (np.float32(depth) != depth)
    log_probs = np.where(depth <= -LEAST, -np.inf, relative)
    log_probs = log_probs + top if logs else log_probs - np.log(np.exp(relative).sum(-1, keepdims=True))
    return Frames(log_probs, finite, undecided, biased)


class Lattice:
    """The states of all items, `[N, S]`: the labels with blanks around and between them."""

    def __init__(self, labels, *, blank, repeated_outputs):
        distinct = repeated_outputs == "distinct"
        states = 2 * max(map(len, labels), default=0) + 1
        shape = len(labels), states
        self.classes = np.full(shape, blank)
        self.exists = np.zeros(shape, bool)
        self.self_loops = np.zeros(shape, bool)
        self.skips = np.zeros(shape, bool)  # whether the blank before a state may be skipped
        self.ends = np.zeros(shape, bool)
        for item, own in enumerate(labels):
            last = 2 * len(own)
            self.exists[item, : last + 1] = True
            self.self_loops[item, 0 : last + 1 : 2] = True
            self.self_loops[item, 1:last:2] = not distinct
            self.ends[item, max(last - 1, 0) : last + 1] = True
            self.classes[item, 1:last:2] = own
            for label in range(1, len(own)):
                self.skips[item, 2 * label + 1] = distinct or own[label] != own[label - 1]

    def emissions(self, log_probs):
        """Returns the log-probability of each state's class at each frame, `[N, T, S]`."""
        rows = np.arange(len(self.classes))[:, None]
        return only(self.exists[:, None], log_probs[rows, :, self.classes].transpose(0, 2, 1))

    def begins(self):
        """Returns the weights of the states at the first frame: 1 for the first two."""
        return np.where(np.arange(self.exists.shape[1]) < 2, 0.0, -np.inf) + np.zeros((len(self.exists), 1))

    def arriving(self, before, add=log_sum):
        """Sums over the transitions from the frame before, without the emission."""
        one, two = (shifted(before, by) for by in (1, 2))
        return add(only(self.self_loops, before), one, only(self.skips, two))

    def leaving(self, after):
        """Sums over the transitions into the frame after, whose emission is included."""
        one, two = (shifted(log, -by) for by, log in ((1, after), (2, only(self.skips, after))))
        return log_sum(only(self.self_loops, after), one, two)


def only(where, log):
    return np.where(where, log, -np.inf)


def shifted(log, by):
    """Shifts by a number of states, and fills with probabilities of 0."""
    moved = np.full_like(log, -np.inf)
    width = log.shape[1]
    if by > 0:
        moved[:, by:] = log[:, : max(width - by, 0)]
    else:
        moved[:, : max(width + by, 0)] = log[:, -by:]
    return moved


def relative(log):
    """Returns logarithms relative to the largest of each item, and that largest."""
    top = log.max(1)
    top = np.where(np.isneginf(top), 0.0, top)
    return log - top[:, None], top


@np.errstate(all="ignore")
def forward_backward(log_probs, lengths, lattice):
    """Returns ln p(labels) of each item, and the occupancy of each class at each frame."""
    items, frames, classes = log_probs.shape
    emissions = lattice.emissions(log_probs)
    alphas = np.full(emissions.shape, -np.inf)
    alpha = lattice.begins()
    offsets = [[] for _ in range(items)]
    for t in range(frames):
        emission, top = relative(emissions[:, t])
        now, more = relative((lattice.arriving(alpha) if t else alpha) + emission)
        counts = t < lengths
        alpha = np.where(counts[:, None], now, alpha)
        alphas[:, t] = alpha
        for item in np.flatnonzero(counts):
            offsets[item] += [top[item], more[item]]
    at_end = np.logaddexp.reduce(only(lattice.ends, alpha), axis=1)
    no_labels = lattice.exists.sum(1) == 1
    at_end = np.where(lengths > 0, at_end, np.where(no_labels, 0.0, -np.inf))
    log_p = np.array([end + fsum(own) for end, own in zip(at_end, offsets, strict=True)])

    one_hot = lattice.classes[:, :, None] == np.arange(classes)
    occupancy = np.zeros(log_probs.shape)
    beta = only(lattice.ends, 0.0)
    for t in reversed(range(frames)):
        joint, _ = relative(alphas[:, t] + beta)
        share = np.exp(joint)
        total = share.sum(1, keepdims=True)
        share = np.where((t < lengths)[:, None] & (total > 0), share / np.maximum(total, 1), 0.0)
        occupancy[:, t] = np.einsum("ns,nsc->nc", share, one_hot)
        emission, _ = relative(emissions[:, t])
        before, _ = relative(lattice.leaving(beta + emission))
        beta = np.where((t < lengths)[:, None], before, beta)
    return log_p, occupancy


def scales(weights, label_lengths, reduction):
    """Returns the factor of each loss in the reduced loss."""
    items = len(label_lengths)
    match reduction:
        case "none" | "sum":
            divisor = 1
        case "mean_batch":
            divisor = items
        case "mean_label":
            divisor = items * np.maximum(label_lengths, 1)
        case "mean_volume":
            divisor = max(label_lengths.sum(), 1)
        case "mean_weighted":
            total = fsum(weights)
            # Weights whose sum is near 0 have no mean.
            divisor = 0 if 1000 * abs(total) <= fsum(abs(weights)) else total
    return weights * 0.0 if np.all(divisor == 0) else weights / divisor


def collapsed(labels):
    return [label for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]


@np.errstate(all="ignore")
def answer(
    values, labels, lengths, weights=None, *, blank, input, epsilon, reduction, impossible, repeated_labels, repeated_outputs
):
    """Computes the correct results of `values` `[N, T, C]`, from labels and logit lengths."""
    values = np.asarray(values, np.float64)
    items, _, classes = values.shape
    lengths = np.asarray(lengths)
    label_lengths = np.array([len(own) for own in labels], int)
    weights = np.ones(items) if weights is None else np.asarray(weights, np.float64)
    scale = scales(weights, label_lengths, reduction)
    if repeated_labels == "collapse":
        labels = [collapsed(own) for own in labels]
    frames = frames_of(values, input=input, epsilon=epsilon)
    lattice = Lattice(labels, blank=blank % classes, repeated_outputs=repeated_outputs)
    log_p, occupancy = forward_backward(frames.log_probs, lengths, lattice)

    counts = np.arange(values.shape[1]) < lengths[:, None]
    formula = loss = 0.0 - log_p
    loss = np.where((loss < 0) & (loss > -ROUNDING), 0.0, loss)
    status = np.where(loss >= LEAST, IMPOSSIBLE, OK)
    status[(counts & ~frames.finite).any(1)] = NOT_FINITE
    needed = (lattice.classes[:, :, None] == np.arange(classes)).any(1)
    undecided = np.abs(loss - LEAST) <= THRESHOLD
    undecided |= (frames.undecided & needed[:, None] & counts[..., None]).any((1, 2))
    undecided &= status != NOT_FINITE
    loss[status == IMPOSSIBLE] = 0.0 if impossible == "zero" else np.inf
    loss[status == NOT_FINITE] = np.nan

    derivative, unit = derivatives(frames, occupancy, input)
    derivative[status == IMPOSSIBLE] = 0.0
    derivative[status == NOT_FINITE] = np.nan
    weighted = counts & (scale != 0)[:, None]
    grad = np.where(weighted[..., None], scale[:, None, None] * derivative, 0.0)
    reduced = None if reduction == "none" else float(sum((scale * loss)[scale != 0], 0.0))
    return Answer(loss, formula, status, grad, reduced, scale, unit, undecided)


def derivatives(frames, occupancy, input):
    """Returns the derivatives of the losses, and the contribution of a probability of 1 to each."""
    probs = np.exp(frames.log_probs)
    if input == "log_probs_exact":
        return -occupancy, np.ones_like(occupancy)
    if input != "probs":
        return probs - occupancy, np.maximum(probs, 1.0)
    each = 1 / frames.biased
    common = 1 / frames.biased.sum(-1, keepdims=True)
    possible = frames.biased > 0
    return common - np.where(possible, occupancy * each, 0.0), np.where(possible, each, common)
