"""Arguments that look valid and are not, and the names and numbers in the errors about them."""

import ctc_wgpu
import ml_dtypes
import numpy as np
import pytest
from ctc_wgpu import (
    SparseLabels,
    align,
    beam_decode,
    ctc_loss,
    ctc_loss_and_grad,
    greedy_decode,
    label_error_rate,
)
from ctc_wgpu._arrays import Conventions, ErrorsFor

X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
LABELS = np.array([[1, 2], [2, 1]])
PADDING = "if it is padding, label_lengths must not count it"

AS_GIVEN = {
    "a negative label": ([[1, -1], [1, 2]], {}, f"labels: item 0: label -1 at position 1 is out of range: expected 0 to 2 for 3 classes; {PADDING}"),
    "above 64 bits' signed end": (np.array([[1, 2**63], [1, 2]], np.uint64), {}, "label 9223372036854775808 at position 1"),
    "below 32 bits": ([[1, 2], [-(2**40), 2]], {}, "item 1: label -1099511627776 at position 0 is out of range"),
    # Other invalid numbers are in the padding.
    "the one that counts": ([[2**50, 2**33], [1, 2**34]], {"label_lengths": [0, 2]}, "item 1: label 17179869184 at position 1"),
    "in a list beyond 64 bits": ([[1, 2**63], [1, 2]], {}, "item 0: label 9223372036854775808 at position 1 is out of range"),
    "in a list far beyond": ([[1, 2], [-(2**70), 2]], {}, "item 1: label -1180591620717411303424 at position 0 is out of range"),
    "a length in a list": (LABELS, {"logit_lengths": [4, 2**64]}, "logit_lengths: item 1: logit length 18446744073709551616"),
    "a label length": (LABELS, {"label_lengths": [2, 2**40]}, "label_lengths: item 1: label length 1099511627776"),
    "a logit length": (LABELS, {"logit_lengths": np.array([4, 2**63], np.uint64)}, "logit_lengths: item 1: logit length 9223372036854775808"),
    "one of each": ([[2**40, 1], [1, 2]], {"label_lengths": [2, 2], "logit_lengths": [4, 2**41]}, "logit length 2199023255552"),
    "a blank": (LABELS, {"blank": 2**65}, "blank: blank 36893488147419103232 is out of range: expected -3 to 2 for 3 classes"),
    "an epsilon": (LABELS, {"input": "probs", "epsilon": 1e300}, "epsilon 1e300"),
}


@pytest.mark.parametrize("case", AS_GIVEN.values(), ids=AS_GIVEN)
def test_errors_contain_the_original_number(case):
    labels, more, message = case
    for function in (ctc_loss, ctc_loss_and_grad):
        with pytest.raises(ValueError, match=message):
            function(X, labels, backend="cpu", **more)


def test_errors_name_sparse_labels_out_of_order_or_out_of_range():
    for indices, shape, message in [
        ([[1, 0], [0, 0]], (2, 2), r"index \[0, 0\] is out of order after row 1: sort the labels by row, then column"),
        ([[0, 0], [0, 0]], (2, 2), r"index \[0, 0\] should be \[0, 1\]"),
        (np.array([[0, 0], [2**63, 0]], np.uint64), (2, 2), r"index \[9223372036854775808, 0\] is outside the dense shape \[2, 2\]"),
        ([[0, 0], [1, 0]], (-2, 2), r"sparse shape is \(-2, 2\): must not be negative"),
        ([[0, 0], [1, 0]], (2, 1, 1), r"sparse shape is \(2, 1, 1\): must be \(N, Lmax\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            ctc_loss(X, SparseLabels(indices, [1, 2], shape), backend="cpu")
    with pytest.raises(ValueError, match="label_lengths must be None"):
        ctc_loss(X, SparseLabels([[0, 0]], [1], (2, 1)), label_lengths=[1, 0], backend="cpu")


def test_names_are_replaced_as_whole_words_and_phrases():
    conventions = Conventions((("labels", "targets"), ("label_lengths", "target_lengths"), ("; do that", "; do this")))
    with pytest.raises(TypeError, match="^targets: labels_of target_lengths; do this$"), ErrorsFor(conventions):
        raise TypeError("labels: labels_of label_lengths; do that")
    with pytest.raises(UnicodeError, match="ordinal"), ErrorsFor(conventions):
        "ä".encode("ascii")


masked = np.ma.masked_array


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("logits", lambda: ctc_loss(masked(X, mask=X > 0), LABELS)),
        ("logits", lambda: greedy_decode(masked(X, mask=X > 0))),
        ("labels", lambda: ctc_loss(X, masked(LABELS, mask=[[0, 1], [0, 0]]))),
        ("labels", lambda: align(X, [masked([1, 2], mask=[0, 1]), [1, 2]])),
        ("labels", lambda: ctc_loss(X, [[1, np.ma.masked], [1, 2]])),
        ("logits", lambda: ctc_loss([[masked(row, mask=row > 0) for row in item] for item in X], LABELS)),
        ("logit_lengths", lambda: beam_decode(X, masked([4, 2], mask=[0, 1]))),
        ("weights", lambda: ctc_loss_and_grad(X, LABELS, weights=masked([1.0, 2.0], mask=[0, 1]))),
        ("hypotheses", lambda: label_error_rate([[1, 2]], [masked([1, 2], mask=[0, 1])])),
    ],
)
def test_masked_elements_are_an_error(name, call):
    with pytest.raises(ValueError, match=f"{name} is a masked array"):
        call()


def test_a_masked_array_without_a_masked_element_is_accepted():
    assert (ctc_loss(masked(X), masked(LABELS)) == ctc_loss(X, LABELS)).all()


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (X, [[1, 2], [1]], ValueError, "labels is not an array with rows of equal length"),
        (X, [[1, 2**70], [1, 1.5]], TypeError, "labels is an array of object"),
        (X, [[1, 2], [1, None]], TypeError, "labels is an array of object"),
        (X, LABELS.astype(bool), TypeError, "labels is an array of bool"),
        (X.astype(bool), LABELS, TypeError, "logits is an array of bool"),
        (X.astype(object), LABELS, TypeError, "logits is an array of object"),
        (X.astype([("a", "f4")]), LABELS, TypeError, "logits is an array of"),
        (X.astype("M8[s]"), LABELS, TypeError, "logits is an array of datetime64"),
    ],
)
def test_errors_name_arrays_of_unsupported_kinds(logits, labels, error, message):
    for function in (ctc_loss, align):
        with pytest.raises(error, match=message):
            function(logits, labels)


class Exporter:
    """An array that only DLPack can export, on the device with this number."""

    def __init__(self, values, device):
        self.values, self.device = values, device

    def __dlpack__(self, **more):
        return self.values.__dlpack__(**more)

    def __dlpack_device__(self):
        return (self.device, 0)


def test_the_memory_of_another_device_is_an_error():
    assert (ctc_loss(Exporter(X, 1), LABELS) == ctc_loss(X, LABELS)).all()
    for device in (2, 7, 8, 10, 14):  # CUDA, Vulkan, Metal, ROCm, oneAPI.
        for call in (lambda lent: ctc_loss(lent, LABELS), greedy_decode):
            with pytest.raises(TypeError, match=rf"logits is in the memory of another device \(DLPack device type {device}\)"):
                call(Exporter(X, device))


WIDE = np.random.default_rng(1).normal(size=(4, 8, 6)).astype(np.float32)
VIEWS = {
    "steps": WIDE[::2, ::2, ::2],
    "backwards": WIDE[:2, :4, :3][::-1, ::-1, ::-1],
    "back by two": WIDE[::-2, ::-2, ::-2],
    "axes in another order": WIDE.transpose(2, 0, 1)[:2, :4, :3],
    "one row for all": np.broadcast_to(WIDE[:1, :4, :3], (2, 4, 3)),
    "another byte order": WIDE[:2, :4, :3].astype(">f4"),
    "half, backwards": WIDE[:2, :4, :3].astype(np.float16)[:, ::-1],
    "a matrix of a subclass": WIDE[:2, :4, :3].view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_have_the_results_of_copies(view):
    flat = np.array(view.tolist(), np.float32)
    for got, wanted in zip(ctc_loss_and_grad(view, LABELS[::-1, ::-1]), ctc_loss_and_grad(flat, [[1, 2], [2, 1]]), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert beam_decode(view) == beam_decode(flat)
    assert [one.log_prob for one in align(view, LABELS)] == [one.log_prob for one in align(flat, LABELS)]


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_accepted_and_losses_are_float32(kind):
    values = X.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    same = values.astype(np.float32)
    loss, grad = ctc_loss_and_grad(values, LABELS)
    assert loss.dtype == grad.dtype == np.float32
    assert (loss == ctc_loss(same, LABELS)).all()
    assert greedy_decode(values) == greedy_decode(same)
    assert beam_decode(values) == beam_decode(same)
    assert [one.log_prob for one in align(values, LABELS)] == [one.log_prob for one in align(same, LABELS)]
    # This sum is far above 65504, the largest number of half precision.
    long = np.zeros((4, 30000, 3), values.dtype)
    assert ctc_loss(long, np.ones((4, 1), int), reduction="sum") > 130000


def test_label_error_rate_ignores_the_padding_of_arrays():
    padded = np.array([[1, 2, -1], [3, -1, -1]])
    assert label_error_rate(padded, padded) == 0
    assert label_error_rate(padded, padded, [2, 1]) == 0
    assert label_error_rate(abs(padded), abs(padded), [2, 1], [2, 1]) == 0
    assert label_error_rate(padded, padded, [2, 1], [2, 0]) == 1 / 3
    assert label_error_rate([[np.int64(1), 2.0]], [np.array([1, 2, -1], np.int8)]) == 0
    assert ctc_wgpu.EditCounts.between(np.array([1, 2]), [1, 2]).total == 0
    # The same numbers in another kind of array.
    for same in (padded.tolist(), list(padded), padded.astype(float), padded.astype(ml_dtypes.bfloat16), [[1, 2, -1], (np.int64(3),)]):
        assert label_error_rate(same, padded) == label_error_rate(padded, same) == 0
    assert label_error_rate([[1, -1]], [[1]], [2]) == 1 / 2
    for arguments, message in [
        ((abs(padded), abs(padded), [2, 1]), "hypotheses has no padding of -1: pass hypothesis_lengths"),
        ((padded, padded, [-1, 1]), r"label_lengths: item 0: length -1 is out of range: expected 0 to 3"),
        ((padded, padded, [2, 1], [2, 4]), r"hypothesis_lengths: item 1: length 4 is out of range: expected 0 to 3"),
        ((padded, padded, [2]), "label_lengths has 1 elements, but 2 are needed"),
        ((padded, padded[:1]), "labels has 2 items, hypotheses has 1"),
        (("ab", "ab"), "labels is 'ab', one string"),
        ((padded[0], padded[0]), r"labels has shape \(3,\)"),
        (([padded], [padded]), r"labels has an item of shape \(2, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            label_error_rate(*arguments)


def test_label_error_rate_compares_labels_of_one_kind_and_in_order():
    assert label_error_rate(list(np.array(["kitten"])), ["sitting"]) == 0.5
    assert label_error_rate([b"kitten"], [b"sitting"]) == 0.5
    assert label_error_rate([["the", 3]], [[3, "cats"]]) == 1
    for labels, hypotheses, message in [
        ([b"ab"], ["ab"], "labels contain numbers and the hypothesis contains strings, which are never equal: decode"),
        ([[b"a", b"b"]], [["a", "b"]], "labels contain bytes and the hypothesis contains strings"),
        ([["1", "2"]], [[1, 2]], "labels contain strings and the hypothesis contains numbers"),
        ([{1, 2}], [[1, 2]], "labels has a set: must be sequences"),
        ({"ab": 1}, ["ab"], "labels has a dict: must be sequences"),
        ([[1]], [None], "hypotheses has a NoneType: must be sequences"),
        (SparseLabels([[0, 0]], [1], (1, 1)), [[1]], "labels has a SparseLabels: must be sequences"),
        ([[[1], [2]]], [[1, 2]], r"labels has the label \[1\]: must be a number"),
    ]:
        with pytest.raises(TypeError, match=message):
            label_error_rate(labels, hypotheses)
    for nan in ([[np.nan]], np.array([[1, np.nan]])):
        with pytest.raises(ValueError, match="hypotheses has a label that is NaN"):
            label_error_rate([[1, 2]], nan)


def test_a_backend_that_is_not_a_string_is_an_error():
    for function in (lambda: ctc_loss(X, LABELS, backend=None), lambda: ctc_wgpu.backend_name(None)):
        with pytest.raises(TypeError, match="backend=None: must be a string"):
            function()


def test_the_width_of_a_beam_may_be_any_number():
    assert beam_decode(X, width=2**62, max_classes=2**70) == beam_decode(X, width=10**6)
    with pytest.raises(ValueError, match="must be 1 <= top <= width, below"):
        beam_decode(X, width=2**64)
