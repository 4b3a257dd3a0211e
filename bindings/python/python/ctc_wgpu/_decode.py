"""What a network read, and where: alignments, decoders and the label error rate, on the CPU."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _native
from ._core import label_arrays, options_of, read

#: Among the labels of `align`: any one or more frames of whatever class, each of probability 1. Text that is there and not known.
STAR = -1


@dataclass(frozen=True)
class Span:
    """A label in time."""

    #: Its class, or `STAR`.
    label: int
    #: Its frames: `frames.start` is the first, `frames.stop` the one after the last, `len(frames)` how many.
    frames: range
    #: The mean of its probability over its frames.
    probability: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """The likeliest path of an item through its labels."""

    #: The class at each frame that counts, or `STAR`; int32 `[T]` of the item's own length.
    path: np.ndarray
    #: The state at each frame, int32: `2i` is the blank before label i, `2i + 1` label i, `2L` the blank after the last.
    states: np.ndarray
    #: ln of the probability of the path's class at each frame, float64.
    log_probs: np.ndarray
    #: The labels, in order.
    spans: list[Span]
    #: −ln of the path's probability, in nats: at least the loss, which counts all paths.
    score: float
    #: "ok"; "impossible": there is no path, and the score is inf; "not finite": a frame has NaN, +inf or nothing possible, and the
    #: score is NaN. Path and spans are empty then.
    status: str


@dataclass(frozen=True)
class Reading:
    """What the likeliest path of an item reads."""

    #: The classes that it reads.
    labels: list[int]
    #: The frames of each label.
    frames: list[range]
    #: −ln of the path's probability, in nats.
    score: float
    #: "ok"; "not finite": a frame has NaN, +inf or nothing possible; nothing is read, and the score is NaN.
    status: str


@dataclass(frozen=True)
class Candidate:
    """Labels that a network may have read."""

    #: Their classes.
    labels: list[int]
    #: −ln p(labels), in nats, over the paths that the beam kept: at least the loss of these labels, and equal to it where nothing
    #: was cut off.
    loss: float


@dataclass(frozen=True)
class Edits:
    """The fewest changes that make a reading of the labels, by kind. They can be added: `sum(all, Edits())`."""

    #: Labels read as others.
    substitutions: int = 0
    #: Labels not read.
    deletions: int = 0
    #: What was read and is no label.
    insertions: int = 0
    #: Labels that were to be read.
    labels: int = 0

    @classmethod
    def between(cls, labels: Iterable[Hashable], read: Iterable[Hashable]) -> Edits:
        """Those of one item. Labels may be numbers, the characters of a string, or words in a list.

        Where several ways are equally short, one with most substitutions is counted, and among those one with most deletions.
        Time grows as the product of the lengths.
        """
        numbers: dict[Hashable, int] = {}
        numbered = [[numbers.setdefault(x, len(numbers)) for x in items] for items in (labels, read)]
        return cls(*_native.edits(*numbered))

    @property
    def total(self) -> int:
        """All changes: the edit distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Changes for each label; 0 for no labels and nothing read, and inf where something was."""
        if self.labels == 0:
            return float("inf") if self.total else 0.0
        return self.total / self.labels

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.labels + other.labels,
        )


def align(
    logits: Any,
    labels: Any,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    *,
    blank: int = 0,
    input: str = "logits",
    layout: str = "ntc",
    epsilon: float = 1e-7,
    blank_in_labels: str = "reject",
    repeated_labels: str = "keep",
    repeated_outputs: str = "merge",
) -> list[Alignment]:
    """Where each item's labels stand: the likeliest path among those that read as them. One `Alignment` an item.

    Arguments and errors are those of `ctc_loss`. `STAR` is allowed among the labels if `label_lengths` tell it from padding. It runs on
    the CPU, items at the same time on its cores, in float64, and lets other threads of Python run. An item gives the same alone and in
    any batch.

    Of paths equally likely, the one is taken that, seen from its end, stays in a state rather than come from the one before, and
    comes from that rather than skip a blank; and that ends in the last label rather than in the blank after it.
    """
    options = options_of(locals())
    given = label_arrays(labels, label_lengths)
    if label_lengths is None and (given[0] == STAR).any():
        raise ValueError("labels hold -1, which here is a label, STAR: give label_lengths, so that it is not taken for padding")
    found = read(_native.align, logits, options, given, logit_lengths=logit_lengths, layout=layout)
    return [
        Alignment(path, states, log_probs, [Span(label, range(*frames), p) for label, frames, p in spans], score, status)
        for path, states, log_probs, spans, score, status in found
    ]


def greedy_decode(
    logits: Any,
    logit_lengths: Any = None,
    *,
    blank: int = 0,
    input: str = "logits",
    layout: str = "ntc",
    epsilon: float = 1e-7,
    repeated_outputs: str = "merge",
) -> list[Reading]:
    """Reads each item by the likeliest class of each frame: equal neighbours are one label, unless `repeated_outputs` is "distinct", and
    blanks are left out. One `Reading` an item.

    Of classes equally likely the first is taken. The path is the likeliest; its labels need not be, since all their paths count: see
    `beam_decode`. Arguments and errors are those of `ctc_loss`, and it runs as `align` does.
    """
    options = options_of(locals())
    found = read(_native.greedy, logits, options, logit_lengths=logit_lengths, layout=layout)
    return [Reading(labels, [range(*ends) for ends in frames], score, status) for labels, frames, score, status in found]


def beam_decode(
    logits: Any,
    logit_lengths: Any = None,
    *,
    width: int = 16,
    top: int = 1,
    classes: int | None = None,
    least_probability: float = 0.0,
    blank: int = 0,
    input: str = "logits",
    layout: str = "ntc",
    epsilon: float = 1e-7,
) -> list[list[Candidate]]:
    """Searches each item for its likeliest labels, over all their paths, by prefix beam search. For each item at most `top`
    candidates, the best first; none where a frame has NaN, +inf or nothing possible.

    Of prefixes equally likely the one is kept that was found first: by the shorter prefix, then by the lower class.

    Args:
        width: prefixes kept after each frame.
        top: candidates wanted; no more than `width`.
        classes: prefixes grow at a frame by so many of its likeliest classes; None: by all.
        least_probability: and by none that is less probable there.

    The other arguments and the errors are those of `ctc_loss`, and it runs as `align` does.
    """
    if not 1 <= top <= width:
        raise ValueError(f"top={top}, width={width}: must be 1 <= top <= width")
    if classes is not None and classes < 0:
        raise ValueError(f"classes={classes}: must not be negative")
    options = options_of(locals())
    beam = {"width": width, "top": top, "classes": classes, "least_probability": least_probability}
    found = read(_native.beam, logits, options, logit_lengths=logit_lengths, layout=layout, **beam)
    return [[Candidate(labels, loss) for labels, loss, _ in item or []] for item in found]


def label_error_rate(labels: Iterable[Any], read: Iterable[Any], label_lengths: Sequence[int] | None = None) -> float:
    """The changes that make all readings of all labels, for each label; see `Edits`, which counts them by kind.

    Args:
        labels: `[N]` sequences, of numbers, characters or words; or an array `[N, Lmax]` with `label_lengths`.
        read: `[N]` sequences of the same.
        label_lengths: `[N]`, how many labels of each row count; None: all.

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    if label_lengths is not None:
        labels = [row[:length] for row, length in zip(labels, label_lengths, strict=True)]
    return sum((Edits.between(*pair) for pair in zip(labels, read, strict=True)), Edits()).rate
