"""Random batches for all combinations of options, with inputs that have revealed errors before.

Each case depends only on its number and the seed.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

INPUTS = "logits", "log_probs", "log_probs_exact", "probs"
REDUCTIONS = "none", "sum", "mean_batch", "mean_label", "mean_volume", "mean_weighted"
#: All combinations of the options. Options that select kernels with a long compilation vary
#: slowest, so that consecutive cases share kernels.
CROSSED = list(
    product(
        ("merge", "distinct"), INPUTS, ("keep", "collapse"), ("reject", "allow"), REDUCTIONS, ("inf", "zero", "error")
    )
)
#: The number of cases with the same shape and options, for which a GPU makes one plan.
PER_PLAN = 4
#: The number of cases that have every combination of options once.
ROUND = len(CROSSED) * PER_PLAN

#: N, T, C, Lmax. They are few, since a GPU compiles other kernels for some.
SHAPES = [(8, 7, 5, 4), (6, 16, 18, 6), (5, 30, 11, 12)]

LEAST = -(2.0**30)
LOWEST = float(np.finfo(np.float32).min)
MASKS = [-1e4, -65504.0, -1e5, -1e6, -1e9, LOWEST, -np.inf, LEAST, LEAST - 256, LEAST + 256, LEAST / 2, -3e34]
GARBAGE = [np.nan, np.inf, -np.inf, LOWEST, -LOWEST, 0.0]


@dataclass
class Case:
    """A batch and its options."""

    number: int
    seed: int
    values: np.ndarray  # [N, T, C], float32
    labels: list[list[int]]
    lengths: np.ndarray
    weights: np.ndarray | None
    options: dict  # the arguments of `_core.options_of`
    time_major: bool
    label_form: str  # "padded", "concatenated", "sparse", "masked"
    frame_form: str  # "lengths", "masked"; or "none" if all frames are valid
    width: int  # Lmax
    tweaks: list[list[str]]  # the names of the changes to the values of each item

    def __str__(self):
        layout = "tnc" if self.time_major else "ntc"
        choices = " ".join(f"{name}={value}" for name, value in self.options.items())
        forms = f"labels {self.label_form}, frames {self.frame_form}"
        return f"case {self.number} of seed {self.seed}: {self.values.shape} {layout}, {forms}, {choices}"


def make(number, seed=0, any_shape=False):
    """Generates the case of this number."""
    plan = np.random.default_rng([seed, number // PER_PLAN])
    rng = np.random.default_rng([seed, number // PER_PLAN, 1 + number % PER_PLAN])
    outputs, input, repeated, blank_in_labels, reduction, impossible = CROSSED[number // PER_PLAN % len(CROSSED)]
    items, frames, classes, width = SHAPES[plan.integers(len(SHAPES))]
    if any_shape:
        items, frames, classes, width = (int(plan.integers(1, most)) for most in (12, 80, 70, 30))
        classes += 1
    blank = int(rng.choice([0, classes - 1, classes // 2]))
    options = {
        "input": input,
        "epsilon": float(plan.choice([1e-7, 0.0, 1e-3])),
        "blank": blank - classes if rng.random() < 0.3 else blank,
        "reduction": reduction,
        "impossible": impossible,
        "blank_in_labels": blank_in_labels,
        "repeated_labels": repeated,
        "repeated_outputs": outputs,
    }
    # A third of the cases is like a batch in training; the others have unusual items too.
    odd = rng.choice([0.0, 0.3, 0.8])
    lengths = np.array([draw_length(rng, frames, odd) for _ in range(items)], np.int32)
    if rng.random() < 0.2:
        lengths[:] = frames
    allow_blank = blank_in_labels == "allow"
    labels = [draw_labels(rng, width, classes, blank, allow_blank, length, odd) for length in lengths]
    values = rng.choice(GARBAGE, (items, 1, 1)) * np.ones((1, frames, classes))
    tweaks = []
    for item, length in enumerate(lengths):
        rows, done = draw_rows(rng, input, int(length), classes, [*labels[item], blank], odd)
        values[item, :length] = rows
        tweaks.append(done)
    whole = bool((lengths == frames).all())
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    return Case(
        number=number,
        seed=seed,
        values=values,
        labels=labels,
        lengths=lengths,
        weights=draw_weights(rng, items),
        options=options,
        time_major=bool(plan.random() < 0.5),
        label_form=str(plan.choice(["padded", "concatenated", "sparse", "masked"])),
        frame_form=str(rng.choice(["lengths", "masked"] + ["none"] * whole)),
        width=width,
        tweaks=tweaks,
    )


def draw_length(rng, frames, odd):
    if rng.random() < 0.2 * odd:
        return 0
    return rng.integers(min(1 if odd else frames // 2, frames), frames + 1)


def draw_labels(rng, width, classes, blank, allow_blank, length, odd):
    """Generates labels with repeats, which mostly have a valid alignment."""
    fitting = min(width, int(length) * 3 // 4)
    most = width if rng.random() < 0.1 + 0.3 * odd else fitting
    others = [k for k in range(classes) if k != blank]
    labels = []
    for _ in range(rng.integers(0, most + 1)):
        if labels and rng.random() < 0.25:
            labels.append(labels[-1])
        elif allow_blank and rng.random() < 0.15:
            labels.append(blank)
        else:
            labels.append(int(rng.choice(others)))
    return labels


def draw_weights(rng, items):
    """Generates weights of both signs, large, small, 0 or with a sum near 0; or returns None."""
    kind = rng.integers(7)
    if kind < 2:
        return None
    weights = rng.uniform(-2, 2, items)
    if kind == 2:
        weights = np.abs(weights)
    if kind == 3:
        weights[rng.random(items) < 0.4] = 0
    if kind == 5:
        weights *= rng.choice([65536.0, 1e-6])
    weights = weights.astype(np.float32)
    if kind == 4:
        # Their sum is 0, or slightly below or above the threshold for a mean.
        weights[:] = 0
        weights[: items // 2 * 2 : 2] = 1.5
        weights[1 : items // 2 * 2 : 2] = -1.5
        weights[0] += np.float32(1.5 * items * rng.choice([0.0, 1 / 2048, 1 / 512, 1 / 16]))
    return weights


def draw_rows(rng, input, frames, classes, needed, odd):
    """Generates the valid frames of an item, and the names of the changes to them."""
    scores = rng.normal(size=(frames, classes)) * rng.choice([0.3, 1, 4, 20])
    rows = scores - np.log(np.exp(scores - scores.max(-1, keepdims=True)).sum(-1, keepdims=True))
    rows = rows - scores.max(-1, keepdims=True)
    if input == "logits":
        rows = scores
    elif input == "probs":
        rows = np.exp(rows)
    done = []
    tweaks = {"logits": OF_LOGITS, "probs": OF_PROBS}.get(input, OF_LOG_PROBS)
    while frames and rng.random() < odd and len(done) < 4:
        tweak = tweaks[rng.integers(len(tweaks))]
        tweak(rng, rows, needed)
        done.append(tweak.__name__)
    return rows, done


def some(rng, rows):
    """Selects one, several or all of the frames."""
    count = rng.choice([1, 1, 2, len(rows)])
    return rng.integers(len(rows), size=count) if count < len(rows) else np.arange(len(rows))


def mask_needed(rng, rows, needed):
    rows[some(rng, rows), rng.choice(needed)] = rng.choice(MASKS)


def mask_all_needed(rng, rows, needed):
    """Lowers all classes of the labels, so that all paths have a large common factor."""
    rows[np.ix_(some(rng, rows), needed)] += rng.choice([-1e4, -65504.0, -1e5, -1e6, -1e7, -1e9])


def mask_several(rng, rows, needed):
    for t in some(rng, rows):
        rows[t, rng.choice(needed)] = rng.choice(MASKS)


def mask_any(rng, rows, needed):
    rows[some(rng, rows), rng.integers(rows.shape[1])] = rng.choice(MASKS)


def far_apart(rng, rows, needed):
    rows *= rng.choice([1e2, 1e3, 1e4, 1e6])


def at_threshold(rng, rows, needed):
    """Leaves one frame with a needed class near the least probability and one certain class."""
    t = rng.integers(len(rows))
    rows[t] = -np.inf
    rows[t, rng.integers(rows.shape[1])] = 0
    rows[t, rng.choice(needed)] = LEAST + rng.choice([-1e6, -256, 0, 256, 1e6])


def large_class(rng, rows, needed):
    rows[some(rng, rows), rng.integers(rows.shape[1])] = rng.choice([50, 65504.0, 1e9, 3e38])


def common_offset(rng, rows, needed):
    rows[some(rng, rows)] += rng.choice([-1e4, 1e4, 1e6, -1e9, 1e30])


def infinite(rng, rows, needed):
    rows[rng.integers(len(rows)), rng.integers(rows.shape[1])] = np.inf


def not_a_number(rng, rows, needed):
    rows[rng.integers(len(rows)), rng.integers(rows.shape[1])] = np.nan


def nothing_possible(rng, rows, needed):
    rows[rng.integers(len(rows))] = -np.inf


def certain(rng, rows, needed):
    """Sets one class to a probability of 1 and all others to 0."""
    for t in some(rng, rows):
        rows[t] = -np.inf
        rows[t, rng.choice(needed)] = 0


def all_equal(rng, rows, needed):
    rows[some(rng, rows)] = 0


def raw_scores(rng, rows, needed):
    rows[:] = rng.normal(size=rows.shape) * rng.choice([0.5, 3])


def nearly_certain(rng, rows, needed):
    """Sets log-probabilities to 0 with a rounding error, above or below."""
    rows[:] = -np.inf
    rows[np.arange(len(rows)), rng.choice(needed, len(rows))] = rng.choice([1e-8, 6e-8, -6e-8])


def most_allowed(rng, rows, needed):
    above = np.nextafter(np.float32(88), np.float32(89))
    rows[rng.integers(len(rows)), rng.integers(rows.shape[1])] = rng.choice([87.5, 88.0, above])


def least_allowed(rng, rows, needed):
    """Sets all classes of a frame near the least probability."""
    rows[rng.integers(len(rows))] = LEAST + rng.choice([-4e9, -128, 0, 256, 1e6])


def zeros(rng, rows, needed):
    rows[some(rng, rows), rng.integers(rows.shape[1])] = 0


def zero_needed(rng, rows, needed):
    rows[some(rng, rows), rng.choice(needed)] = 0


def all_zero(rng, rows, needed):
    rows[rng.integers(len(rows))] = 0


def common_factor(rng, rows, needed):
    rows[some(rng, rows)] *= rng.choice([1e-30, 1e-3, 3, 1e10, 1e30, 1e38])


def tiny(rng, rows, needed):
    rows[some(rng, rows), rng.choice(needed)] = rng.choice([1e-45, 1e-40, 2e-38, 1e-30, 1e-9])


def negative(rng, rows, needed):
    rows[rng.integers(len(rows)), rng.integers(rows.shape[1])] = rng.choice([-1e-9, -1e-4, -0.5, -np.inf, -1e-45, -0.0])


def one_hot(rng, rows, needed):
    for t in some(rng, rows):
        rows[t] = 0
        rows[t, rng.choice(needed)] = 1


OF_SCORES = [
    mask_needed, mask_all_needed, mask_several, mask_any, at_threshold, infinite, not_a_number, nothing_possible, certain
]  # fmt: skip
OF_LOGITS = [*OF_SCORES, mask_needed, far_apart, large_class, common_offset, all_equal]
OF_LOG_PROBS = [*OF_SCORES, mask_needed, raw_scores, nearly_certain, most_allowed, least_allowed]
OF_PROBS = [zeros, zero_needed, all_zero, common_factor, tiny, negative, one_hot, infinite, not_a_number]
