"""What a network read, and where: alignments, decoders and the label error rate, on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from numbers import Number, Real
from typing import Any

import numpy as np

from . import _native
from ._arrays import Caller, array, ErrorsFor, integers
from ._core import SparseLabels, interruptible, label_arrays, options_of, read, warn_below_0

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
        """Those of one item. Labels may be numbers, in an array of any library too, the characters of a string, or words
        in a list. Negative numbers at the end are padding.

        Where several ways are equally short, one with most substitutions is counted, and among those one with most deletions.
        Time grows as the product of the lengths.
        """
        return cls._of(_plain("labels", labels), _plain("read", read))

    @classmethod
    def _of(cls, labels: list[Hashable], read: list[Hashable]) -> Edits:
        kinds = {_kind(label) for label in labels}, {_kind(label) for label in read}
        if all(kinds) and kinds[0] | kinds[1] <= _KINDS and not kinds[0] & kinds[1]:
            one, other = (" and ".join(sorted(kind)) for kind in kinds)
            raise TypeError(f"labels has {one}, read has {other}, which are never equal: decode bytes, or map one to the other")
        numbers: dict[Hashable, int] = {}
        first, second = ([numbers.setdefault(x, len(numbers)) for x in items] for items in (labels, read))
        return cls(*interruptible(lambda: _native.edits(first, second), len(first) * len(second)))

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
    with ErrorsFor(Caller()) as stand_ins:
        given = label_arrays(labels, label_lengths, None, stand_ins)
        if label_lengths is None and (given[0] == STAR).any():
            raise ValueError("labels hold -1, which here is a label, STAR: give label_lengths, so that it is not taken for padding")
        found = read(_native.align, logits, options, given, logit_lengths=logit_lengths, layout=layout, stand_ins=stand_ins)
    _warn_below_0([score for *_, score, _ in found], logits, layout)
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
    with ErrorsFor(Caller()) as stand_ins:
        found = read(_native.greedy, logits, options, logit_lengths=logit_lengths, layout=layout, stand_ins=stand_ins)
    _warn_below_0([score for *_, score, _ in found], logits, layout)
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
    if not 1 <= top <= width <= sys.maxsize:
        raise ValueError(f"top={top}, width={width}: must be 1 <= top <= width, below 2^63")
    if not 0 <= least_probability <= 1:
        raise ValueError(f"least_probability={least_probability}: must be 0 <= least_probability <= 1")
    if classes is not None and classes < 0:
        raise ValueError(f"classes={classes}: must not be negative")
    options = options_of(locals())
    if classes is not None:
        classes = min(classes, sys.maxsize)
    beam = {"width": width, "top": top, "classes": classes, "least_probability": least_probability}
    with ErrorsFor(Caller()) as stand_ins:
        found = read(_native.beam, logits, options, logit_lengths=logit_lengths, layout=layout, stand_ins=stand_ins, **beam)
    _warn_below_0([item[0][1] if item else 0 for item in found], logits, layout)
    return [[Candidate(labels, loss) for labels, loss, _ in item or []] for item in found]


def _warn_below_0(scores: list[float], logits: Any, layout: str) -> None:
    # Those of items that are not finite are NaN.
    if np.fmin.reduce(scores, initial=0) < 0:
        # Nothing has taken the rounding from them: as much as 1e-6 a frame.
        frames = np.shape(logits)[1 if layout == "ntc" else 0]
        warn_below_0("score", np.array(scores), rounding=1e-6 * frames, stacklevel=4)


def label_error_rate(
    labels: Iterable[Any], read: Iterable[Any], label_lengths: Any = None, read_lengths: Any = None
) -> float:
    """The changes that make all readings of all labels, for each label; see `Edits`, which counts them by kind.

    Args:
        labels: `[N]` sequences, of numbers, characters or words, and arrays of any library; or an array `[N, Lmax]` with
            `label_lengths`. A set has no order, and is an error; so is NaN.
        read: `[N]` sequences of the same; or an array with `read_lengths`.
        label_lengths: `[N]`, how many labels of each row count; None: all but negative numbers at
            the end of a row, with which `ctc_decode` pads.
        read_lengths: `[N]`, the same of `read`.

    Raises:
        TypeError: an item is not a sequence; or one has numbers, strings or bytes where the other
            has nothing of that kind.
        ValueError: there are not as many of one as of the other; a length is not within its row; or `labels` is padded, and
            `read` is an array of which it cannot be told.
    """
    rows = _rows("labels", labels, label_lengths)
    found = _rows("read", read, read_lengths, of_padded=label_lengths is not None)
    if len(rows) != len(found):
        raise ValueError(f"labels has {len(rows)} items, read has {len(found)}: must be as many")
    return sum((Edits._of(*pair) for pair in zip(rows, found, strict=True)), Edits()).rate


def _rows(name: str, value: Iterable[Any], lengths: Any, of_padded: bool = False) -> list[list[Hashable]]:
    """The items of a batch of labels, without padding. `of_padded` says that the other batch is padded."""
    if isinstance(value, (str, bytes)):
        raise ValueError(f"{name} is {value!r}, one string: must be a list, of a string or other labels for each item")
    _in_order(name, value)
    batch = array(name, value) if _is_array(value) else None
    if batch is not None and batch.ndim != 2:
        raise ValueError(f"{name} has shape {batch.shape}: must be [N, Lmax], or a list of N sequences")
    rows = [_plain(name, row, keep_padding=lengths is not None) for row in (value if batch is None else batch)]
    if lengths is None:
        if of_padded and batch is not None and batch.size and all(len(row) == batch.shape[1] for row in rows):
            raise ValueError(f"{name} has no padding of -1: give {name}_lengths, as label_lengths are given")
        return rows
    name_of_lengths = "label_lengths" if name == "labels" else "read_lengths"
    with ErrorsFor(Caller()) as stand_ins:
        counts = integers(name_of_lengths, lengths, 1, stand_ins).tolist()
        if len(counts) != len(rows):
            raise ValueError(f"{name_of_lengths} has {len(counts)} elements, but {len(rows)} are needed: one an item")
        for item, (count, row) in enumerate(zip(counts, rows, strict=True)):
            if not 0 <= count <= len(row):
                raise ValueError(f"{name_of_lengths}: item {item}: length {count} is not within 0..={len(row)} labels")
    return [row[:count] for count, row in zip(counts, rows, strict=True)]


def _is_array(value: Any) -> bool:
    return (hasattr(value, "__array__") or hasattr(value, "__dlpack__")) and not isinstance(value, (str, bytes))


def _in_order(name: str, items: Any) -> None:
    """Raises for what can be walked, and not in the order of its labels."""
    if isinstance(items, (Set, Mapping, SparseLabels)) or not (_is_array(items) or hasattr(items, "__iter__")):
        raise TypeError(f"{name} has a {type(items).__name__}: must be sequences of labels")


def _plain(name: str, items: Iterable[Any], keep_padding: bool = False) -> list[Hashable]:
    """One item's labels as Python's own objects: tensors are not equal by their numbers, or cannot be hashed. It ends where
    only negative numbers follow."""
    _in_order(name, items)
    if _is_array(items):
        values = array(name, items)
        if values.ndim != 1:
            raise ValueError(f"{name} has an item of shape {values.shape}: must be one row of labels")
        row: list[Hashable] = values.tolist()
    else:
        row = [array(name, item).item() if _is_array(item) else item for item in items]
    for label in row:
        if not isinstance(label, Hashable):
            raise TypeError(f"{name} has the label {label!r}: must be a number, a string or what else can be hashed")
        if isinstance(label, Real) and label != label:
            raise ValueError(f"{name} has a label that is NaN: if it is padding, cut it off")
    while not keep_padding and row and isinstance(row[-1], Real) and row[-1] < 0:
        row.pop()
    return row


_KINDS = {"numbers", "strings", "bytes"}


def _kind(label: Hashable) -> str:
    kinds = (Number, "numbers"), (str, "strings"), (bytes, "bytes")
    return next((name for kind, name in kinds if isinstance(label, kind)), type(label).__name__)
