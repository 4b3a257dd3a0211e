"""Forced alignment, greedy decoding and beam search."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arrays import Conventions, ErrorsFor
from ._core import SparseLabels, decode, label_arrays, options_of, warn_of_probability_above_1
from ._types import (
    Array,
    BlankInLabels,
    Input,
    Layout,
    RepeatedLabels,
    RepeatedOutputs,
    Status,
)

#: A wildcard among the labels of `align`, for unknown text: one or more frames of any class, each
#: of probability 1.
STAR = -1


@dataclass(frozen=True)
class Span:
    """The frames of a label."""

    #: The class of the label, or `STAR`.
    label: int
    #: The frames, from the first frame of the label to its last.
    frames: range
    #: The mean probability of the label over its frames.
    probability: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """The most probable path of an item through its labels."""

    #: The class at each valid frame, or `STAR`. The length of this array is the number of valid
    #: frames of the item.
    path: NDArray[np.int32]
    #: The state at each valid frame: `2i` is the blank before label i, `2i + 1` is label i, and
    #: `2L` is the blank after the last label. It has the length of `path`.
    states: NDArray[np.int32]
    #: The log-probability of the path's class at each valid frame. It has the length of `path`.
    log_probs: NDArray[np.float64]
    #: The labels in order.
    spans: list[Span]
    #: The log-probability of the path, in nats. It is at most −loss, since the loss sums over all
    #: paths.
    log_prob: float
    #: "ok"; "impossible": no path has these labels, and `log_prob` is −inf; or "not finite": a
    #: frame has NaN, +inf, a log-probability above 88, a probability below −ε or no class of
    #: positive probability, and `log_prob` is NaN. Unless it is "ok", the path and the spans are
    #: empty.
    status: Status


@dataclass(frozen=True)
class GreedyHypothesis:
    """The labels of the most probable path of an item."""

    #: The decoded labels.
    labels: list[int]
    #: The frames of each label.
    frames: list[range]
    #: The log-probability of the path, in nats.
    log_prob: float
    #: "ok"; or "not finite": a frame has NaN, +inf, a log-probability above 88, a probability below
    #: −ε or no class of positive probability. Then `labels` is empty, and `log_prob` is NaN.
    status: Status


@dataclass(frozen=True)
class Hypothesis:
    """The labels of an item according to the beam search."""

    #: The decoded labels.
    labels: list[int]
    #: ln p(labels) in nats, where p sums the paths that the beam kept. It is at most −loss of these
    #: labels, and equal to it if nothing was pruned.
    log_prob: float
    #: The number by which hypotheses are ranked, the largest first. It equals `log_prob`, since
    #: this search has no language model.
    score: float


def align(
    logits: Array,
    labels: Array | SparseLabels,
    logit_lengths: Array | None = None,
    label_lengths: Array | None = None,
    *,
    blank: int = 0,
    input: Input = "logits",
    layout: Layout = "ntc",
    epsilon: float = 1e-7,
    blank_in_labels: BlankInLabels = "reject",
    repeated_labels: RepeatedLabels = "keep",
    repeated_outputs: RepeatedOutputs = "merge",
    backend: str = "cpu",
) -> list[Alignment]:
    """Aligns the labels of each item with its frames, by the most probable path.

    Arguments and errors are those of `ctc_loss`. In addition, the labels may contain `STAR` if
    `label_lengths` distinguishes it from padding.

    A `ValueError` is also raised if the first frame of an item contradicts `input`:
    log-probabilities whose exponentials sum to more than 3, a probability above 1.001, or negative
    probabilities in a frame without positive ones.

    On the CPU, log-probabilities are float64, and items are processed in parallel while other
    Python threads run. The result of an item does not depend on the rest of the batch. `backend` is
    that of `ctc_loss`, except that "reference" is a `ValueError`.

    Ties between equally probable paths are decided from the end of the path: a path that ends in
    the last label wins over one that ends in the blank after it; a self-loop wins over a step from
    the previous state, which wins over a skip of a blank.

    Returns:
        One `Alignment` per item.
    """
    options = options_of(locals())
    with ErrorsFor(Conventions()) as substitutes:
        native_labels = label_arrays(labels, label_lengths, None, substitutes)
        if label_lengths is None and (native_labels[0] == STAR).any():
            raise ValueError(
                "labels contain -1, which is the label STAR here: pass label_lengths to "
                "distinguish it from padding"
            )
        found = decode(
            _native.align,
            logits,
            options,
            native_labels,
            logit_lengths=logit_lengths,
            layout=layout,
            backend=backend,
            substitutes=substitutes,
        )
    _warn([log_prob for *_, log_prob, _ in found], logits, layout)
    return [
        Alignment(
            path,
            states,
            log_probs,
            [Span(label, range(*frames), probability) for label, frames, probability in spans],
            log_prob,
            status,
        )
        for path, states, log_probs, spans, log_prob, status in found
    ]


def greedy_decode(
    logits: Array,
    logit_lengths: Array | None = None,
    *,
    blank: int = 0,
    input: Input = "logits",
    layout: Layout = "ntc",
    epsilon: float = 1e-7,
    repeated_outputs: RepeatedOutputs = "merge",
    backend: str = "cpu",
) -> list[GreedyHypothesis]:
    """Decodes each item by the most probable class of each frame.

    Equal neighbouring classes become one label, unless `repeated_outputs` is "distinct", and blanks
    are removed. Of equally probable classes, the first is taken. The path is the most probable one.
    Other labels may be more probable, since the probability of labels is the sum over all their
    paths: see `beam_decode`. Arguments are those of `ctc_loss`; `backend` and errors are those of
    `align`.

    Returns:
        One `GreedyHypothesis` per item.
    """
    options = options_of(locals())
    with ErrorsFor(Conventions()) as substitutes:
        found = decode(
            _native.greedy,
            logits,
            options,
            logit_lengths=logit_lengths,
            layout=layout,
            backend=backend,
            substitutes=substitutes,
        )
    _warn([log_prob for *_, log_prob, _ in found], logits, layout)
    return [
        GreedyHypothesis(labels, [range(*ends) for ends in frames], log_prob, status)
        for labels, frames, log_prob, status in found
    ]


def beam_decode(
    logits: Array,
    logit_lengths: Array | None = None,
    *,
    width: int = 16,
    top: int = 1,
    max_classes: int | None = None,
    min_probability: float = 0.0,
    blank: int = 0,
    input: Input = "logits",
    layout: Layout = "ntc",
    epsilon: float = 1e-7,
) -> list[list[Hypothesis]]:
    """Searches for the most probable labels of each item, over all their paths.

    This is prefix beam search; it runs on the CPU. Of equally probable prefixes, the search keeps
    the one that it found first. Of those found at the same frame, it keeps the one that extends a
    better prefix, then the one with the lower class.

    Args:
        width: the number of prefixes kept after each frame.
        top: the number of hypotheses returned; at most `width`.
        max_classes: the largest number of classes, without the blank, that may extend a prefix at a
            frame; the most probable are taken. None: all.
        min_probability: the smallest probability, from 0 to 1, of a class that may extend a prefix.

    The other arguments are those of `ctc_loss`, and the errors are those of `align`. A `width`,
    `top`, `max_classes` or `min_probability` out of range is a `ValueError`.

    Returns:
        At most `top` hypotheses per item, the best first; none if a frame has NaN, +inf, a
        log-probability above 88, a probability below −ε or no class of positive probability.
    """
    if not 1 <= top <= width <= sys.maxsize:
        raise ValueError(f"top={top}, width={width}: must be 1 <= top <= width, below 2^63")
    if not 0 <= min_probability <= 1:
        raise ValueError(
            f"min_probability={min_probability}: must be 0 <= min_probability <= 1"
        )
    if max_classes is not None and max_classes < 0:
        raise ValueError(f"max_classes={max_classes}: must not be negative")
    options = options_of(locals())
    with ErrorsFor(Conventions()) as substitutes:
        found = decode(
            _native.beam,
            logits,
            options,
            logit_lengths=logit_lengths,
            layout=layout,
            backend="cpu",
            substitutes=substitutes,
            width=width,
            top=top,
            max_classes=None if max_classes is None else min(max_classes, sys.maxsize),
            min_probability=min_probability,
        )
    _warn([item[0][1] if item else 0.0 for item in found], logits, layout)
    return [[Hypothesis(*hypothesis) for hypothesis in item or []] for item in found]


def _warn(log_probs: Sequence[float], logits: Any, layout: str) -> None:
    """Warns of log-probabilities above 0. NaN, of an item whose status is not "ok", is ignored."""
    if np.fmax.reduce(log_probs, initial=0) > 0:
        # Unlike in a loss, rounding errors are not removed here. They reach 1e-6 per frame.
        frames = np.shape(logits)[1 if layout == "ntc" else 0]
        warn_of_probability_above_1(
            "log-probability", 1, np.array(log_probs), rounding=1e-6 * frames, stacklevel=4
        )
