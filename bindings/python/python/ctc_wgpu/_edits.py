"""The edit distance of decoded labels, and the label error rate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from numbers import Number, Real
from typing import Any

from . import _native
from ._arrays import Conventions, ErrorsFor, array, integers
from ._core import SparseLabels, interruptible
from ._types import Array


@dataclass(frozen=True)
class EditCounts:
    """The fewest edits that turn the labels into a hypothesis (Levenshtein), by kind.

    Counts can be added: `sum(all_counts, EditCounts())`.
    """

    #: Labels replaced by others.
    substitutions: int = 0
    #: Labels that the hypothesis lacks.
    deletions: int = 0
    #: Labels that only the hypothesis has.
    insertions: int = 0
    #: The number of labels.
    labels: int = 0

    @classmethod
    def between(cls, labels: Iterable[Hashable], hypothesis: Iterable[Hashable]) -> EditCounts:
        """Counts the edits of one item.

        Labels may be numbers, also in an array of any library, the characters of a string, or the
        words in a list. Negative numbers at the end are padding. Of several shortest sequences of
        edits, one with the most substitutions is counted. Time grows as the product of the lengths.
        """
        return cls._of(_plain("labels", labels), _plain("hypothesis", hypothesis))

    @classmethod
    def _of(cls, labels: list[Hashable], hypothesis: list[Hashable]) -> EditCounts:
        kinds = {_kind(label) for label in labels}, {_kind(label) for label in hypothesis}
        if all(kinds) and kinds[0] | kinds[1] <= _KINDS and not kinds[0] & kinds[1]:
            one, other = (" and ".join(sorted(kind)) for kind in kinds)
            raise TypeError(
                f"labels contain {one} and the hypothesis contains {other}, which are never equal: "
                "decode bytes, or map one to the other"
            )
        numbers: dict[Hashable, int] = {}
        first, second = (
            [numbers.setdefault(label, len(numbers)) for label in row]
            for row in (labels, hypothesis)
        )
        operations = len(first) * len(second)
        return cls(*interruptible(lambda: _native.edit_counts(first, second), operations))

    @property
    def total(self) -> int:
        """The number of all edits: the edit distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """The number of edits per label. Without labels, 0 for an empty hypothesis, else inf."""
        if self.labels == 0:
            return float("inf") if self.total else 0.0
        return self.total / self.labels

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.labels + other.labels,
        )


def label_error_rate(
    labels: Array | Iterable[Any],
    hypotheses: Array | Iterable[Any],
    label_lengths: Array | None = None,
    hypothesis_lengths: Array | None = None,
) -> float:
    """Returns the sum of the edit distances of all items, divided by their number of labels.

    `EditCounts` counts each kind of edit. If there are no labels, the result is 0 for empty
    hypotheses, else inf.

    Args:
        labels: N sequences of numbers, characters or words, or arrays of any library; or an array
            `[N, Lmax]` with `label_lengths`. A set is an error, because it has no order; so is NaN.
        hypotheses: N such sequences; or an array with `hypothesis_lengths`.
        label_lengths: `[N]`, the number of labels of each row; None: all but the negative numbers
            at the end of a row, with which `ctc_decode` pads.
        hypothesis_lengths: `[N]`, the same of `hypotheses`.

    Raises:
        TypeError: an item is not a sequence; or its labels and its hypothesis are of different
            types (numbers, strings or bytes), which are never equal.
        ValueError: the numbers of items differ; a length is longer than its row; or `labels` has
            lengths, and `hypotheses` is an array with neither lengths nor padding.
    """
    rows = _rows("labels", labels, "label_lengths", label_lengths)
    decoded = _rows(
        "hypotheses",
        hypotheses,
        "hypothesis_lengths",
        hypothesis_lengths,
        needs_padding=label_lengths is not None,
    )
    if len(rows) != len(decoded):
        raise ValueError(
            f"labels has {len(rows)} items, hypotheses has {len(decoded)}: must be equal"
        )
    counts = (EditCounts._of(*pair) for pair in zip(rows, decoded, strict=True))
    return sum(counts, EditCounts()).rate


def _rows(
    name: str,
    value: Array | Iterable[Any],
    name_of_lengths: str,
    lengths: Any,
    needs_padding: bool = False,
) -> list[list[Hashable]]:
    """Returns the items of a batch of labels, without padding.

    With `needs_padding`, an array without lengths must have padding.
    """
    if isinstance(value, (str, bytes)):
        raise ValueError(
            f"{name} is {value!r}, one string: must be a list with a string or other labels per item"
        )
    _check_ordered(name, value)
    batch = array(name, value) if _is_array(value) else None
    if batch is not None and batch.ndim != 2:
        raise ValueError(
            f"{name} has shape {batch.shape}: must be [N, Lmax], or a list of N sequences"
        )
    items: Any = value if batch is None else batch
    rows = [_plain(name, row, keep_padding=lengths is not None) for row in items]
    if lengths is None:
        if needs_padding and batch is not None and batch.size:
            if all(len(row) == batch.shape[1] for row in rows):
                raise ValueError(
                    f"{name} has no padding of -1: pass {name_of_lengths}, as for the labels"
                )
        return rows
    with ErrorsFor(Conventions()) as substitutes:
        counts = integers(name_of_lengths, lengths, 1, substitutes).tolist()
        if len(counts) != len(rows):
            raise ValueError(
                f"{name_of_lengths} has {len(counts)} elements, but {len(rows)} are needed: one per "
                "item"
            )
        for item, (count, row) in enumerate(zip(counts, rows, strict=True)):
            if not 0 <= count <= len(row):
                raise ValueError(
                    f"{name_of_lengths}: item {item}: length {count} is out of range: "
                    f"expected 0 to {len(row)} labels"
                )
    return [row[:count] for count, row in zip(counts, rows, strict=True)]


def _is_array(value: Any) -> bool:
    exports = hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    return exports and not isinstance(value, (str, bytes))


def _check_ordered(name: str, items: Any) -> None:
    """Raises if `items` is not iterable, or does not iterate in the order of its labels."""
    unordered = isinstance(items, (Set, Mapping, SparseLabels))
    if unordered or not (_is_array(items) or hasattr(items, "__iter__")):
        raise TypeError(f"{name} has a {type(items).__name__}: must be sequences of labels")


def _plain(name: str, items: Any, keep_padding: bool = False) -> list[Hashable]:
    """Converts the labels of one item to Python objects, without padding.

    Tensors do not compare by value, or cannot be hashed. The padding is the negative numbers at the
    end.
    """
    _check_ordered(name, items)
    if _is_array(items):
        values = array(name, items)
        if values.ndim != 1:
            raise ValueError(
                f"{name} has an item of shape {values.shape}: must be one row of labels"
            )
        row: list[Hashable] = values.tolist()
    else:
        row = [array(name, label).item() if _is_array(label) else label for label in items]
    for label in row:
        if not isinstance(label, Hashable):
            raise TypeError(
                f"{name} has the label {label!r}: must be a number, a string or another hashable "
                "object"
            )
        if isinstance(label, Real) and label != label:
            raise ValueError(f"{name} has a label that is NaN: if it is padding, remove it")
    while not keep_padding and row and isinstance(row[-1], Real) and row[-1] < 0:
        row.pop()
    return row


_KINDS = {"numbers", "strings", "bytes"}


def _kind(label: Hashable) -> str:
    kinds = (Number, "numbers"), (str, "strings"), (bytes, "bytes")
    names = (name for kind, name in kinds if isinstance(label, kind))
    return next(names, type(label).__name__)
