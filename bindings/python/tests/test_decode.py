"""Alignment, decoding and the label error rate.

Results are compared with golden values of torchaudio and TensorFlow and with an enumeration of all
paths; invalid input must raise.
"""

import itertools
import json
import threading
import time
from pathlib import Path

import ctc_wgpu
import numpy as np
import pytest
from ctc_wgpu import (
    STAR,
    EditCounts,
    SparseLabels,
    align,
    beam_decode,
    ctc_loss,
    greedy_decode,
    label_error_rate,
)
from support import draw

GOLDEN = Path(__file__).parents[3] / "tests/data/golden"
SEEDS = range(12)


def golden(name):
    return json.loads((GOLDEN / name).read_text())["cases"]


def log_softmax(x):
    x = x.astype(float) - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def collapse(path, blank):
    return tuple(c for t, c in enumerate(path) if c != blank and (t == 0 or path[t - 1] != c))


def test_alignments_are_those_of_torchaudio():
    cases = golden("alignments.json")
    assert len(cases) > 20
    for case in cases:
        logits = np.array(case["logits"], np.float32).reshape(1, -1, case["classes"])
        (found,) = align(logits, [case["labels"]])
        assert found.status == "ok"
        assert found.path.tolist() == case["path"]
        np.testing.assert_allclose(found.log_probs, case["scores"], rtol=1e-9, atol=1e-9)
        for span, (label, start, end, probability) in zip(found.spans, case["spans"], strict=True):
            assert (span.label, span.frames) == (label, range(start, end))
            assert span.probability == pytest.approx(probability, rel=1e-6)


def test_hypotheses_are_those_of_tensorflow():
    for case in golden("decoders.json"):
        logits = np.array(case["logits"], np.float32).reshape(case["shape"])
        for outputs, name in [("merge", "greedy"), ("distinct", "greedy_unmerged")]:
            greedy = greedy_decode(logits, case["lengths"], blank=-1, repeated_outputs=outputs)
            assert [one.labels for one in greedy] == case[name]["labels"]
        tops = case["beam"]["labels"]
        found = beam_decode(logits, case["lengths"], blank=-1, width=case["width"], top=len(tops))
        for item, hypotheses in enumerate(found):
            assert [one.labels for one in hypotheses] == [top[item] for top in tops]
            expected = [-top[item] for top in case["beam"]["log_probs"]]
            assert [-one.log_prob for one in hypotheses] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_results_are_the_best_of_all_paths(seed):
    rng = np.random.default_rng(seed)
    frames, classes, blank = 5, 3, int(rng.integers(3))
    logits = rng.normal(size=(1, frames, classes)).astype(np.float32)
    log_probs = log_softmax(logits)[0]
    best, of_labels = {}, {}
    for path in itertools.product(range(classes), repeat=frames):
        labels, log_p = collapse(path, blank), log_probs[range(frames), path].sum()
        best[labels] = max(best.get(labels, (-np.inf, ())), (log_p, path))
        of_labels[labels] = np.logaddexp(of_labels.get(labels, -np.inf), log_p)

    (greedy,) = greedy_decode(logits, blank=blank)
    log_p, path = max(best.values())
    assert tuple(greedy.labels) == collapse(path, blank)
    assert greedy.log_prob == pytest.approx(log_p)
    for label, span in zip(greedy.labels, greedy.frames, strict=True):
        assert all(path[t] == label for t in span)

    (hypotheses,) = beam_decode(logits, blank=blank, width=1000, top=1000)
    expected = sorted(of_labels.items(), key=lambda entry: -entry[1])
    assert [tuple(one.labels) for one in hypotheses] == [labels for labels, _ in expected]
    assert [one.log_prob for one in hypotheses] == pytest.approx([log_p for _, log_p in expected])
    assert [one.score for one in hypotheses] == [one.log_prob for one in hypotheses]

    for labels, (log_p, path) in best.items():
        (found,) = align(logits, np.array([labels], int).reshape(1, -1), blank=blank)
        assert tuple(found.path) == path
        assert found.log_prob == pytest.approx(log_p)
        assert found.log_probs.sum() == pytest.approx(log_p)
        assert [span.label for span in found.spans] == list(labels)
        for index, span in enumerate(found.spans):
            assert (found.states[span.frames] == 2 * index + 1).all()
            assert span.probability == pytest.approx(np.exp(log_probs[span.frames, span.label]).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_alignments_respect_lengths_and_report_impossible_items(seed):
    batch = draw(seed)
    lengths = batch.logit_lengths, batch.label_lengths
    found = align(batch.logits, batch.garbled, *lengths, blank=batch.blank)
    loss = ctc_loss(batch.logits, batch.garbled, *lengths, blank=batch.blank, backend="reference")
    assert len(found) == len(loss)
    for item, one in enumerate(found):
        assert one.status == ("ok" if batch.possible[item] else "impossible")
        if one.status == "ok":
            frames, labels = batch.logit_lengths[item], batch.labels[item, : batch.label_lengths[item]]
            assert len(one.path) == len(one.states) == len(one.log_probs) == frames
            assert [span.label for span in one.spans] == labels.tolist()
            assert -one.log_prob >= loss[item] - 1e-9
            # The result of an item alone is the same.
            (alone,) = align(batch.logits[[item], :frames], labels[None], blank=batch.blank)
            assert alone.path.tolist() == one.path.tolist()
            assert (alone.log_prob, alone.spans) == (one.log_prob, one.spans)
        else:
            assert one.log_prob == -np.inf
            assert len(one.path) == len(one.states) == len(one.log_probs) == len(one.spans) == 0


def test_a_hypothesis_is_at_most_as_probable_as_its_labels():
    batch = draw(2)
    found = beam_decode(batch.logits, batch.logit_lengths, blank=batch.blank, width=64, top=2)
    for item, hypotheses in enumerate(found):
        for one in hypotheses:
            labels = np.array([one.labels], int).reshape(1, -1)
            (loss,) = ctc_loss(batch.logits[[item]], labels, batch.logit_lengths[[item]], blank=batch.blank, backend="reference")
            assert -one.log_prob >= loss - 1e-6
        assert hypotheses[0].log_prob >= hypotheses[1].log_prob


def textbook_search(log_probs, width, blank):
    """Searches as published (Hannun et al., 2014).

    Each prefix has two log-probabilities: of its paths that end in a blank, and of those that end
    in its last label.
    """
    beam = {(): (0.0, -np.inf)}
    for frame in log_probs:
        now = {}

        def reach(prefix, blank, label, now=now):
            before = now.get(prefix, (-np.inf, -np.inf))
            now[prefix] = np.logaddexp(before[0], blank), np.logaddexp(before[1], label)

        for prefix, (by_blank, by_label) in beam.items():
            total = np.logaddexp(by_blank, by_label)
            reach(prefix, total + frame[blank], by_label + frame[prefix[-1]] if prefix else -np.inf)
            for label in set(range(len(frame))) - {blank}:
                again = prefix and prefix[-1] == label
                reach((*prefix, label), -np.inf, (by_blank if again else total) + frame[label])
        beam = dict(sorted(now.items(), key=lambda entry: -np.logaddexp(*entry[1]))[:width])
    return [(list(prefix), -np.logaddexp(*ends)) for prefix, ends in beam.items()]


@pytest.mark.parametrize("width", [2, 10, 40])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_beam_search_is_the_published_algorithm(seed, width):
    batch = draw(seed, items=4)
    found = beam_decode(batch.logits, batch.logit_lengths, blank=batch.blank, width=width, top=2)
    for item, hypotheses in enumerate(found):
        log_probs = log_softmax(batch.logits[item, : batch.logit_lengths[item]])
        expected = textbook_search(log_probs, width, batch.blank)[:2]
        assert [one.labels for one in hypotheses] == [labels for labels, _ in expected]
        losses = [loss for _, loss in expected]
        assert [-one.log_prob for one in hypotheses] == pytest.approx(losses)


def test_the_beam_search_prunes_classes():
    # The last of the three classes is never the most probable one besides the blank.
    logits = np.log(np.array([[[0.5, 0.4, 0.1], [0.2, 0.6, 0.2]]], np.float32))
    everything = {tuple(one.labels) for one in beam_decode(logits, width=50, top=50)[0]}
    assert (2,) in everything
    for choices in ({"max_classes": 1}, {"min_probability": 0.3}):
        few = {tuple(one.labels) for one in beam_decode(logits, width=50, top=50, **choices)[0]}
        assert few < everything
        assert (2,) not in few
    assert len(beam_decode(logits, width=2, top=2)[0]) == 2
    assert len(beam_decode(logits, width=2)[0]) == 1


def views(x):
    """Yields the same logits in other types, layouts and inputs."""
    shifted = log_softmax(x).astype(np.float32)
    yield x.astype(np.float64), {}
    yield np.asfortranarray(x), {}
    yield x.tolist(), {}
    yield x.transpose(1, 0, 2), {"layout": "tnc"}
    yield x.transpose(1, 0, 2).copy(), {"layout": "tnc"}
    yield shifted, {"input": "log_probs"}
    yield np.exp(shifted), {"input": "probs", "epsilon": 0.0}


def test_arrays_layouts_and_inputs_of_all_kinds_have_the_same_results():
    batch = draw(5)
    batch = batch.only(batch.possible)
    sparse_items = np.repeat(np.arange(len(batch.labels)), batch.label_lengths)
    positions = np.concatenate([np.arange(length) for length in batch.label_lengths])
    sparse = SparseLabels(np.stack([sparse_items, positions], 1), batch.concatenated, batch.labels.shape)
    frames, of_labels, blank = batch.logit_lengths, batch.label_lengths, {"blank": batch.blank}

    def results(x, labels, label_lengths, **options):
        aligned = align(x, labels, frames, label_lengths, **blank, **options)
        greedy = greedy_decode(x, frames, **blank, **options)
        best = [item[0] for item in beam_decode(x, frames, **blank, **options)]
        decoded = [one.path.tolist() for one in aligned], [one.labels for one in [*greedy, *best]]
        return decoded, [one.log_prob for one in [*aligned, *greedy, *best]]

    decoded, log_probs = results(batch.logits, batch.garbled, of_labels)
    for x, options in views(batch.logits):
        again, other = results(x, batch.garbled, of_labels, **options)
        assert again == decoded
        assert other == pytest.approx(log_probs, rel=1e-4)
    for labels, lengths in [(batch.concatenated, of_labels), (sparse, None)]:
        assert results(batch.logits, labels, lengths) == (decoded, log_probs)


def test_arrays_that_only_export_dlpack_are_accepted():
    class Exporter:
        def __init__(self, values):
            self.__dlpack__, self.__dlpack_device__ = values.__dlpack__, values.__dlpack_device__

    x = draw(1).logits
    exporter = Exporter(x)
    assert [one.labels for one in greedy_decode(exporter)] == [one.labels for one in greedy_decode(x)]
    assert beam_decode(exporter) == beam_decode(x)
    labels = np.ones((len(x), 1), int)
    assert align(exporter, labels)[0].log_prob == align(x, labels)[0].log_prob


def test_a_star_matches_any_text():
    x = np.log(np.array([[[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]], np.float32))
    (found,) = align(x, [[1, STAR]], label_lengths=[2])
    assert found.path.tolist() == [1, STAR, STAR, STAR]
    assert [(span.label, span.frames) for span in found.spans] == [(1, range(1)), (STAR, range(1, 4))]
    assert found.log_prob == pytest.approx(np.log(0.8))
    # −1 is also a common padding.
    with pytest.raises(ValueError, match="label STAR here: pass label_lengths"):
        align(x, [[1, -1]])


def test_alignment_has_the_options_of_the_loss():
    x = np.zeros((1, 2, 3), np.float32)
    assert align(x, [[1, 1]])[0].status == "impossible"
    assert align(x, [[1, 1]], repeated_outputs="distinct")[0].path.tolist() == [1, 1]
    assert len(align(x, [[1, 1]], repeated_labels="collapse")[0].spans) == 1
    assert align(x, [[0]], blank_in_labels="allow")[0].status == "ok"


def test_nan_is_confined_to_its_item():
    x = np.zeros((3, 4, 3), np.float32)
    x[:, :, 1] = 1
    x[1, 2, 0] = np.nan
    x[2, 3] = np.nan  # In the padding.
    lengths = [4, 4, 3]
    aligned, greedy = align(x, [[1]] * 3, lengths), greedy_decode(x, lengths)
    found = beam_decode(x, lengths)
    assert [one.status for one in aligned] == [one.status for one in greedy] == ["ok", "not finite", "ok"]
    assert np.isnan(aligned[1].log_prob)
    assert np.isnan(greedy[1].log_prob)
    assert (len(aligned[1].path), greedy[1].labels, greedy[1].frames) == (0, [], [])
    assert [len(one) for one in found] == [1, 0, 1]


def test_alignment_and_greedy_decoding_on_the_gpu_agree_with_the_cpu():
    batch = draw(4)
    frames, options = batch.logit_lengths, {"blank": batch.blank}

    def results(backend):
        lengths = frames, batch.label_lengths
        aligned = align(batch.logits, batch.labels, *lengths, backend=backend, **options)
        greedy = greedy_decode(batch.logits, frames, backend=backend, **options)
        log_probs = [one.log_prob for one in [*aligned, *greedy]]
        decoded = [(one.path.tolist(), one.status) for one in aligned]
        return decoded, [(one.labels, one.frames, one.status) for one in greedy], log_probs

    *decoded, log_probs = results("gpu")
    *expected, expected_log_probs = results("cpu")
    assert decoded == expected
    assert log_probs == pytest.approx(expected_log_probs, rel=1e-6)
    for decode in (lambda **more: align(UNIFORM, [[1]], **more), lambda **more: greedy_decode(UNIFORM, **more)):
        with pytest.raises(ValueError, match='backend="reference" computes losses only'):
            decode(backend="reference")


def test_empty_batches():
    nothing = np.zeros((0, 5, 3), np.float32)
    assert align(nothing, np.zeros((0, 2), int)) == greedy_decode(nothing) == beam_decode(nothing) == []
    no_frames = np.zeros((1, 0, 3), np.float32)
    assert align(no_frames, np.zeros((1, 0), int))[0].log_prob == 0
    assert greedy_decode(no_frames)[0].labels == []
    assert beam_decode(no_frames)[0][0].log_prob == 0
    assert label_error_rate([], []) == 0


UNIFORM = np.zeros((1, 3, 2), np.float32)
BAD = {
    "label": (align, {"labels": [[2]]}, ValueError, "item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"),
    "the blank": (align, {"labels": [[0]]}, ValueError, 'is the blank; blank_in_labels="allow" permits it'),
    "label length": (align, {"labels": [[1]], "label_lengths": [2]}, ValueError, "label length 2 is out of range"),
    "rows": (align, {"labels": [[1], [1]]}, ValueError, r"labels has shape \[2, 1\]"),
    "text": (align, {"labels": [["a"]]}, TypeError, "labels is an array of <U1"),
    "logit length": (greedy_decode, {"logit_lengths": [4]}, ValueError, "item 0: logit length 4 is out of range: expected 0 to 3"),
    "negative logit length": (beam_decode, {"logit_lengths": [-1]}, ValueError, "logit length -1"),
    "too many lengths": (beam_decode, {"logit_lengths": [1, 1]}, ValueError, "logit_lengths has 2 elements"),
    "axes": (greedy_decode, {"logits": UNIFORM[0]}, ValueError, "logits has shape .*: must have 3 axes"),
    "integers": (greedy_decode, {"logits": UNIFORM.astype(int)}, TypeError, "logits is an array of int64"),
    "layout": (greedy_decode, {"layout": "nct"}, ValueError, "layout='nct'"),
    "input": (greedy_decode, {"input": "logit"}, ValueError, 'input="logit": must be one of'),
    "outputs": (greedy_decode, {"repeated_outputs": "both"}, ValueError, 'repeated_outputs="both"'),
    "blank": (beam_decode, {"blank": 2}, ValueError, "blank 2 is out of range: expected 0 to 1 for 2 classes"),
    "epsilon": (beam_decode, {"input": "probs", "epsilon": -1.0}, ValueError, "epsilon -1 must be finite"),
    "top": (beam_decode, {"top": 17}, ValueError, "top=17, width=16: must be"),
    "no width": (beam_decode, {"width": 0, "top": 0}, ValueError, "top=0, width=0: must be"),
    "max_classes": (beam_decode, {"max_classes": -1}, ValueError, "max_classes=-1: must not be negative"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_invalid_input_raises_with_the_value_and_the_rule(bad):
    function, arguments, error, message = bad
    with pytest.raises(error, match=message):
        function(**{"logits": UNIFORM, **arguments})


def test_edit_counts_and_their_rate():
    counts = EditCounts.between("kitten", "sitting")
    assert counts == EditCounts(substitutions=2, deletions=0, insertions=1, labels=6)
    assert (counts.total, counts.rate) == (3, 0.5)
    assert EditCounts.between("the cat sat".split(), "the cat".split()).deletions == 1
    assert label_error_rate(["ab", "cd"], ["ab", "d"]) == 1 / 4
    padded = np.array([[1, 2, -1], [3, 4, 5]])
    assert label_error_rate(padded, [[1, 2], np.array([3, 5])], label_lengths=[2, 3]) == 1 / 5
    assert label_error_rate([[]], [[1]]) == np.inf
    assert label_error_rate([[]], [[]]) == 0
    for labels, hypotheses, lengths in [([[1]], [], None), ([[1]], [[1]], [1, 1])]:
        with pytest.raises(ValueError, match="1 items, hypotheses has 0|2 elements, but 1 are needed"):
            label_error_rate(labels, hypotheses, lengths)
    with pytest.raises(TypeError, match=r"labels has the label \[1\]: must be a number, a string or another hashable"):
        EditCounts.between([[1]], [[1]])


def test_the_rate_of_a_batch_is_that_of_its_counts():
    batch = draw(7)
    greedy = greedy_decode(batch.logits, batch.logit_lengths, blank=batch.blank)
    hypotheses = [one.labels for one in greedy]
    rows = zip(batch.labels, batch.label_lengths, hypotheses, strict=True)
    pairs = [(row[:length].tolist(), hypothesis) for row, length, hypothesis in rows]
    total = sum((EditCounts.between(*pair) for pair in pairs), EditCounts())
    assert total.labels == batch.label_lengths.sum()
    assert label_error_rate(batch.labels, hypotheses, batch.label_lengths) == total.rate > 0


def test_other_threads_run_during_the_search():
    x = np.random.default_rng(0).normal(size=(4, 6000, 100)).astype(np.float32)
    done, ticks = threading.Event(), []

    def search():
        beam_decode(x, width=100)
        done.set()

    thread = threading.Thread(target=search)
    thread.start()
    while not done.is_set():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    thread.join()
    assert len(ticks) > 20


def test_results_print_compare_and_pickle():
    import pickle

    (greedy,), ((hypothesis,),) = greedy_decode(UNIFORM), beam_decode(UNIFORM)
    for one in (greedy, hypothesis, EditCounts.between("a", "b")):
        assert pickle.loads(pickle.dumps(one)) == one
    log_prob = hypothesis.log_prob
    assert repr(hypothesis) == f"Hypothesis(labels=[1], log_prob={log_prob}, score={log_prob})"
    assert set(ctc_wgpu.__all__) <= set(dir(ctc_wgpu))


@pytest.mark.parametrize("layout", ["ntc", "tnc"])
def test_a_log_probability_above_0_is_a_warning(layout):
    # The first frame is valid log-probabilities: decoders check only this one before they run.
    raw = np.full((1, 6, 4), 2.0, np.float32)
    raw[0, 0] = np.log(0.25)
    broken = np.full_like(raw, np.nan)
    raw = np.concatenate([broken, raw])
    raw = raw if layout == "ntc" else raw.transpose(1, 0, 2)
    options = {"input": "log_probs", "layout": layout}
    message = r"^item 1 has a log-probability of \d+\.\d+, above 0: .*log_softmax"
    for decode in (
        lambda: align(raw, [[1, 2]] * 2, **options),
        lambda: greedy_decode(raw, **options),
        lambda: beam_decode(raw, **options),
    ):
        with pytest.warns(RuntimeWarning, match=message) as caught:
            decode()
        assert caught[0].filename == __file__
