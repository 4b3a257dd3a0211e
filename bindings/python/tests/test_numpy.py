"""The loss of numpy arrays: comparison with the reference, kinds of arrays, and errors."""

import collections
import multiprocessing
import sys
import threading
import time

import ctc_wgpu
import numpy as np
import pytest
from ctc_wgpu import SparseLabels, ctc_loss, ctc_loss_and_grad
from support import assert_close, draw

SEEDS = range(12)
# Two equally probable classes in 3 frames: 6 of the 8 paths have the labels "1".
UNIFORM = np.zeros((1, 3, 2), np.float32)
EXPECTED = np.log(8 / 6)


def both(batch, labels=None, **choices):
    labels = batch.garbled if labels is None else labels
    lengths = batch.logit_lengths, batch.label_lengths
    return ctc_loss_and_grad(batch.logits, labels, *lengths, blank=batch.blank, **choices)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_the_reference(seed, backend):
    batch = draw(seed)
    loss, grad = both(batch, backend=backend)
    true_loss, true_grad = both(batch, backend="reference")
    assert loss.dtype == grad.dtype == np.float32
    assert true_loss.dtype == true_grad.dtype == np.float64
    possible = batch.possible
    assert_close(loss[possible], grad[possible], true_loss[possible], true_grad[possible])
    assert np.isposinf(loss[~possible]).all()
    assert (grad[~possible] == 0).all()
    past = np.arange(batch.logits.shape[1]) >= batch.logit_lengths[:, None]
    assert (grad[past] == 0).all()
    assert (ctc_loss(batch.logits, batch.garbled, batch.logit_lengths, batch.label_lengths, blank=batch.blank, backend=backend) == loss).all()


def test_the_random_batches_have_impossible_items():
    """Otherwise the tests above would not cover them."""
    shares = [draw(seed).possible.mean() for seed in SEEDS]
    assert 0.3 < np.mean(shares) < 0.98


@pytest.mark.parametrize("input", ["logits", "log_probs", "log_probs_exact", "probs"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean_batch", "mean_label", "mean_volume", "mean_weighted"])
def test_inputs_and_reductions_agree_with_the_reference(input, reduction):
    batch = draw(3)
    shifted = batch.logits - batch.logits.max(-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    batch.logits = {"logits": batch.logits, "probs": np.exp(log_probs)}.get(input, log_probs)
    weights = np.linspace(0, 2, len(batch.labels))
    choices = {"input": input, "reduction": reduction, "impossible": "zero", "weights": weights, "epsilon": 1e-4}
    loss, grad = both(batch, backend="cpu", **choices)
    true_loss, true_grad = both(batch, backend="reference", **choices)
    assert np.ndim(loss) == (reduction == "none")
    # Derivatives with respect to a probability are as large as 1/(p + ε).
    scale = max(1, np.abs(true_grad).max())
    assert_close(loss, grad / scale, true_loss, true_grad / scale)


def test_the_reference_computes_in_float64_and_others_in_float32():
    logits = np.array([[[0.1, 0.2], [0.3, 0.5]]])
    slope = np.zeros_like(logits)
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = 1e-6
        losses = [ctc_loss(logits + sign * step, [[1]], backend="reference")[0] for sign in (1, -1)]
        slope[at] = (losses[0] - losses[1]) / 2e-6
    _, grad = ctc_loss_and_grad(logits, [[1]], backend="reference")
    assert np.abs(slope - grad).max() < 1e-9
    # Other backends round a float64 batch to float32 first.
    assert ctc_loss(logits, [[1]], backend="cpu").dtype == np.float32


def test_all_label_layouts_have_the_same_result():
    batch = draw(5)
    expected = both(batch, backend="cpu")
    rows = [np.arange(length) for length in batch.label_lengths]
    items = np.repeat(np.arange(len(rows)), batch.label_lengths)
    sparse = SparseLabels(np.stack([items, np.concatenate(rows)], 1), batch.concatenated, batch.labels.shape)
    for labels in (batch.concatenated, batch.garbled.tolist()):
        for got, expected_part in zip(both(batch, labels, backend="cpu"), expected, strict=True):
            assert (got == expected_part).all()
    got = ctc_loss_and_grad(batch.logits, sparse, batch.logit_lengths, blank=batch.blank, backend="cpu")
    for part, expected_part in zip(got, expected, strict=True):
        assert (part == expected_part).all()


def test_layouts_agree_and_a_transposed_view_keeps_its_strides():
    batch = draw(6)
    loss, grad = both(batch, backend="cpu")
    for time_major in (batch.logits.transpose(1, 0, 2), batch.logits.transpose(1, 0, 2).copy()):
        got, turned = ctc_loss_and_grad(
            time_major, batch.labels, batch.logit_lengths, batch.label_lengths, blank=batch.blank, layout="tnc", backend="cpu"
        )
        assert (got == loss).all()
        assert turned.shape == time_major.shape
        assert turned.strides == time_major.strides
        assert (turned.transpose(1, 0, 2) == grad).all()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64, ">i4"])
def test_all_integer_types_are_accepted(kind):
    loss = ctc_loss(UNIFORM, np.array([[1]], kind), np.array([3], kind), np.array([1], kind), backend="cpu")
    assert loss == pytest.approx(EXPECTED)


@pytest.mark.parametrize("label", [2**32 + 1, -(2**32) + 1, 2**63 - 1])
def test_integers_do_not_wrap(label):
    with pytest.raises(ValueError, match=f"item 0: label {label} at position 0 is out of range: expected 0 to 1 for 2 classes"):
        ctc_loss(UNIFORM, np.array([[label]]), backend="cpu")
    padded = np.array([[1, label]])
    assert ctc_loss(UNIFORM, padded, label_lengths=[1], backend="cpu") == pytest.approx(EXPECTED)


def unaligned(values):
    memory = np.zeros(values.nbytes + 1, np.uint8)
    view = memory[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    assert not view.flags.aligned
    return view


def read_only(values):
    values = values.copy()
    values.setflags(write=False)
    return values


MAKERS = {
    "every second of an array": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "Fortran's order": np.asfortranarray,
    "read-only": read_only,
    "unaligned": unaligned,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "float64": lambda a: a.astype(np.float64),
    "a list": lambda a: a.tolist(),
    "broadcast": lambda a: np.broadcast_to(a, a.shape),
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_all_kinds_of_arrays_are_accepted(maker):
    batch = draw(7)
    expected = both(batch, backend="cpu")
    batch.logits = maker(batch.logits)
    for got, expected_part in zip(both(batch, backend="cpu"), expected, strict=True):
        assert (got == expected_part).all()


def test_half_precision_has_the_result_of_its_values():
    half = draw(8).logits.astype(np.float16)
    batch = draw(8)
    batch.logits = half
    got = both(batch, backend="cpu")
    batch.logits = half.astype(np.float32)
    for part, expected_part in zip(got, both(batch, backend="cpu"), strict=True):
        assert (part == expected_part).all()


class Exporter:
    """An array whose only interface is DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **arguments):
        return self.values.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def test_arrays_that_only_export_dlpack_are_accepted():
    assert ctc_loss(Exporter(UNIFORM), Exporter(np.array([[1]])), backend="cpu") == pytest.approx(EXPECTED)


BAD = {
    "label": ({"labels": [[2]]}, ValueError, "item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"),
    "negative label": ({"labels": [[-1]]}, ValueError, "item 0: label -1 at position 0"),
    "the blank": ({"labels": [[0]]}, ValueError, 'label 0 at position 0 is the blank; blank_in_labels="allow" permits it'),
    "negative logit length": ({"logit_lengths": [-1]}, ValueError, r"item 0: logit length -1 is out of range: expected 0 to 3 frames"),
    "long logit length": ({"logit_lengths": [4]}, ValueError, r"item 0: logit length 4 is out of range: expected 0 to 3 frames"),
    "label length": ({"label_lengths": [2]}, ValueError, r"item 0: label length 2 is out of range: expected 0 to 1 labels"),
    "too few lengths": ({"logit_lengths": []}, ValueError, "logit_lengths has 0 elements, but 1 are needed"),
    "rows": ({"labels": [[1], [1]]}, ValueError, r"labels has shape \[2, 1\], but \[1, 1\] is needed"),
    "logits of 2 axes": ({"logits": UNIFORM[0]}, ValueError, r"logits has shape \(3, 2\): must have 3 axes"),
    "lengths of 2 axes": ({"label_lengths": [[1]]}, ValueError, r"label_lengths has shape \(1, 1\): must have 1 axis"),
    "labels of 3 axes": ({"labels": [[[1]]]}, ValueError, "labels has shape"),
    "labels in a row without lengths": ({"labels": [1]}, ValueError, "require label_lengths"),
    "integer logits": ({"logits": UNIFORM.astype(int)}, TypeError, "logits is an array of int64"),
    "complex logits": ({"logits": UNIFORM.astype(complex)}, TypeError, "logits is an array of complex128"),
    "text": ({"labels": [["a"]]}, TypeError, "labels is an array of <U1"),
    "labels that are floats": ({"labels": [[1.5]]}, TypeError, "labels is an array of float64"),
    "blank": ({"blank": 2}, ValueError, "blank 2 is out of range: expected 0 to 1 for 2 classes"),
    "negative blank": ({"blank": -3}, ValueError, "blank -3 is out of range: expected -2 to 1 for 2 classes"),
    "input": ({"input": "logit"}, ValueError, 'input="logit": must be one of "logits"'),
    "reduction": ({"reduction": "mean"}, ValueError, 'reduction="mean": must be one of'),
    "layout": ({"layout": "nct"}, ValueError, "layout='nct'"),
    "backend": ({"backend": "cuda"}, ValueError, 'backend="cuda": must be'),
    "no such adapter": ({"backend": "gpu:no such"}, RuntimeError, "no GPU adapter whose name contains `no such`"),
    "weight": ({"weights": [np.nan]}, ValueError, "item 0: weight NaN is not finite"),
    "epsilon": ({"input": "probs", "epsilon": -1.0}, ValueError, "epsilon -1 must be finite and not negative"),
    "impossible": (
        {"logit_lengths": [0], "impossible": "error"},
        ValueError,
        r'item 0: no valid alignment of its 1 labels with its 0 frames: .*\(impossible="error" is set\)',
    ),
    "no classes": ({"logits": np.zeros((1, 3, 0), np.float32)}, ValueError, "classes C = 0|blank 0"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", [ctc_loss, ctc_loss_and_grad])
def test_invalid_input_raises_with_the_value_and_the_rule(bad, function):
    arguments, error, message = bad
    with pytest.raises(error, match=message):
        function(**{"logits": UNIFORM, "labels": [[1]], "backend": "cpu", **arguments})


def test_sparse_labels_are_checked():
    cases = {
        "should be": SparseLabels([[0, 1]], [1], (1, 2)),
        "outside the dense shape": SparseLabels([[1, 0]], [1], (1, 1)),
        "is needed": SparseLabels([[0, 0, 0]], [1], (1, 1)),
    }
    for message, labels in cases.items():
        with pytest.raises(ValueError, match=message):
            ctc_loss(UNIFORM, labels, backend="cpu")


def test_nan_is_confined_to_its_item_and_padding_is_ignored():
    logits = np.zeros((3, 4, 2), np.float32)
    logits[0, 0, 0] = np.nan
    logits[1, 3] = np.nan
    loss, grad = ctc_loss_and_grad(logits, [[1]] * 3, [4, 3, 4], backend="cpu")
    assert np.isnan(loss).tolist() == [True, False, False]
    assert np.isfinite(grad[1:]).all()
    assert (grad[1, 3] == 0).all()


@pytest.mark.parametrize("backend", ["cpu", "gpu", "reference"])
def test_empty_batches(backend):
    loss, grad = ctc_loss_and_grad(np.zeros((0, 5, 3), np.float32), np.zeros((0, 2), int), backend=backend)
    assert loss.shape == (0,)
    assert grad.shape == (0, 5, 3)
    # Neither frames nor labels; then frames without labels.
    assert ctc_loss(np.zeros((1, 0, 3), np.float32), np.zeros((1, 0), int), backend=backend) == 0
    nothing = ctc_loss(UNIFORM, np.zeros((1, 0), int), backend=backend)
    assert nothing == pytest.approx(np.log(8))


def test_threads_can_share_a_backend():
    batches = [draw(seed) for seed in range(4)]
    expected = [both(batch, backend="cpu") for batch in batches]
    wrong = []

    def work(index):
        for _ in range(20):
            loss, grad = both(batches[index], backend="cpu")
            if not ((loss == expected[index][0]).all() and (grad == expected[index][1]).all()):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_other_threads_run_during_a_call():
    logits = np.random.default_rng(0).normal(size=(8, 1000, 500)).astype(np.float32)
    labels = np.ones((8, 300), int)
    done, ticks = threading.Event(), []

    def compute():
        # The reference uses one thread, and takes long enough on any machine.
        ctc_loss(logits, labels, backend="reference")
        done.set()

    thread = threading.Thread(target=compute)
    thread.start()
    while not done.is_set():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    thread.join()
    # If the call held the GIL, this thread would run only before and after it.
    assert len(ticks) > 20


@pytest.mark.parametrize(("function", "choices"), [(ctc_loss, {"backend": "cpu"}), (ctc_loss_and_grad, {"backend": "cpu"}), (ctc_wgpu.align, {})])
def test_a_call_has_little_overhead(function, choices):
    """Counts function calls, about 60 on every machine. `benches/overhead.py` measures the time."""
    logits, labels, ones = np.zeros((1, 2, 3), np.float32), np.ones((1, 1), np.int32), np.ones(1, np.int32)
    events = collections.Counter()
    sys.setprofile(lambda _frame, event, _argument: events.update([event]))
    try:
        function(logits, labels, ones, ones, **choices)
    finally:
        sys.setprofile(None)
    calls = events["call"] + events["c_call"]
    assert 10 < calls <= 80, events


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_process_can_compute(method):
    """This includes a forked process, which has none of the threads of its parent."""
    given = np.zeros((8, 30, 20), np.float32), np.ones((8, 5), int)
    expected = ctc_loss(*given, backend="cpu")
    with multiprocessing.get_context(method).Pool(1) as pool:
        got = pool.apply_async(ctc_loss, given, {"backend": "cpu"}).get(timeout=120)
    np.testing.assert_array_equal(got, expected)


def test_backend_names_and_adapters():
    assert ctc_wgpu.backend_name("cpu").startswith("CPU backend (")
    assert ctc_wgpu.backend_name("reference") == "float64 reference"
    found = ctc_wgpu.adapters()
    assert found, "no adapter: install a driver, Mesa's software one at least"
    for adapter in found:
        assert adapter.keys() == {"name", "api", "kind", "driver"}
    name = found[0]["name"]
    assert name in ctc_wgpu.backend_name(f"gpu:{name}")
    assert name in ctc_wgpu.backend_name("gpu")
    # "auto" does not select a software driver.
    assert (name if found[0]["kind"] != "Cpu" else "CPU backend") in ctc_wgpu.backend_name()


@pytest.mark.parametrize("backend", ["cpu", "gpu", "reference"])
def test_a_loss_below_0_is_returned_with_a_warning(backend):
    scores = np.full((1, 6, 4), 2.0, np.float32)
    with pytest.warns(RuntimeWarning, match=r"^item 0 has a loss of -\d+\.\d+, below 0: .*log_softmax"):
        loss = ctc_wgpu.ctc_loss(scores, [[1, 2]], input="log_probs", backend=backend)
    # 70 of the 4^6 paths have the labels "1 2", each with a "probability" of e^12.
    np.testing.assert_allclose(loss, [-(12 + np.log(70))], rtol=1e-6)


@pytest.mark.parametrize("weights", [[3e38, 3e38], [3e38, -3e38], [1e-40, 1e-40]])
def test_a_mean_over_weights_whose_sum_is_out_of_range_is_an_error(weights):
    logits = np.zeros((2, 4, 3), np.float32)
    given = {"weights": weights, "reduction": "mean_weighted"}
    for backend in ("cpu", "gpu", "reference"):
        with pytest.raises(ValueError, match=r"^weights: their absolute values sum to \d"):
            ctc_wgpu.ctc_loss(logits, [[1], [2]], backend=backend, **given)


@pytest.mark.parametrize("weight", [1e39, -1e200, 1e-200])
def test_errors_contain_the_original_weight_that_float32_cannot_represent(weight):
    with pytest.raises(ValueError, match=f"^weights: item 1: weight {weight} is out of the range of float32".replace("+", r"\+")):
        ctc_wgpu.ctc_loss(np.zeros((2, 4, 3), np.float32), [[1], [2]], weights=[1.0, weight])
