"""Checks alignment and decoding of the same random batches by their definitions."""

import numpy as np
from ctc_wgpu import STAR, align, beam_decode, greedy_decode
from oracle import IMPOSSIBLE, NOT_FINITE, OK, Lattice, collapsed, forward_backward, frames_of
from run import arguments, item

#: The relative tolerance of log-probabilities, which are float64.
EXACT = 1e-9
#: The absolute tolerance per frame for probabilities: p + epsilon is rounded to float32.
ROUNDED = 1e-7


def failures(case):
    """Describes the errors in the results for a case."""
    with np.errstate(all="ignore"):
        frames = frames_of(case.values, input=case.options["input"], epsilon=case.options["epsilon"])
        counts = np.arange(case.values.shape[1]) < case.lengths[:, None]
        finite = ~(counts & ~frames.finite).any(1)
        found = []
        for name, check in {"align": alignments, "greedy_decode": greedy, "beam_decode": beam}.items():
            try:
                texts = list(check(case, frames, finite))
            except ValueError as error:
                texts = [] if rejected(case) else [f"raises {error}"]
            else:
                texts += ["no error, but a first frame is not a distribution"] * rejected(case)
            found += [f"{case}\n  {name}: {text}" for text in texts]
    return found


def rejected(case):
    """Returns whether the first frame of an item is clearly not of the kind that `input` names."""
    first = case.values[case.lengths > 0, 0].astype(float) if case.values.shape[1] else case.values[:0, 0]
    if case.options["input"] == "logits":
        return False
    if case.options["input"] == "probs":
        nothing = (first <= 0).all(1, keepdims=True)
        return bool((np.isfinite(first) & ((first > np.float32(1.001)) | (nothing & (first < 0)))).any())
    total = np.exp(first).sum(1)
    return bool(((total > 3) & (total < np.inf)).any())


def slack(case):
    """Returns the absolute tolerance of the log-probabilities of a case."""
    return ROUNDED * case.values.shape[1] if case.options["input"] == "probs" else EXACT


def close(one, other, absolute):
    return np.allclose(one, other, rtol=EXACT, atol=absolute, equal_nan=True)


def options_of(case, *names):
    return {name: case.options[name] for name in ("input", "epsilon", "blank", *names)}


def alignments(case, frames, finite):
    """Checks alignments, in which a star is one more class, of probability 1."""
    rng = np.random.default_rng(case.number)
    classes = case.values.shape[2]
    values, _, given = arguments(case)
    labels = [[STAR if rng.random() < 0.1 else label for label in own] for own in case.labels]
    padded = np.zeros((len(labels), case.width), np.int32)
    for row, own in zip(padded, labels, strict=True):
        row[: len(own)] = own
    results = align(
        values,
        padded,
        case.lengths,
        [len(own) for own in labels],
        layout=given["layout"],
        **options_of(case, "blank_in_labels", "repeated_labels", "repeated_outputs"),
    )
    if case.options["repeated_labels"] == "collapse":
        labels = [collapsed(own) for own in labels]
    starred = np.concatenate([frames.log_probs, np.zeros((*frames.finite.shape, 1))], axis=2)
    own = [[classes if label == STAR else label for label in one] for one in labels]
    lattice = Lattice(own, blank=case.options["blank"] % classes, repeated_outputs=case.options["repeated_outputs"])
    best = best_paths(starred, case.lengths, lattice)
    for n, result in enumerate(results):
        status = NOT_FINITE if not finite[n] else IMPOSSIBLE if np.isneginf(best[n]) else OK
        wrong = wrong_alignment(result, status, best[n], starred[n, : case.lengths[n]], lattice, n, labels[n], slack(case))
        if wrong:
            yield f"{item(case, n)}, aligned with {labels[n]}: {wrong}; right is {status}, log_prob {best[n]}: {result}"


def best_paths(log_probs, lengths, lattice):
    """Returns the log-probability of each item's most probable path (Viterbi)."""
    emissions = lattice.emissions(log_probs)
    best = lattice.begins()
    for t in range(emissions.shape[1]):
        now = (lattice.arriving(best, lambda *logs: np.maximum.reduce(logs)) if t else best) + emissions[:, t]
        best = np.where((t < lengths)[:, None], now, best)
    at_end = np.where(lattice.ends, best, -np.inf).max(1)
    no_labels = lattice.exists.sum(1) == 1
    return np.where(lengths > 0, at_end, np.where(no_labels, 0.0, -np.inf))


def wrong_alignment(result, status, best, log_probs, lattice, n, labels, slack):
    if result.status != status:
        return "status"
    if status != OK:
        expected = -np.inf if status == IMPOSSIBLE else np.nan
        empty = len(result.path) == len(result.states) == len(result.spans) == 0
        return None if empty and np.array_equal(result.log_prob, expected, equal_nan=True) else "not empty"
    states, frames = result.states, len(log_probs)
    if not close(result.log_prob, best, slack):
        return "log_prob"
    if len(states) != frames:
        return "length"
    if frames:
        moves = np.diff(states, prepend=-1 if states[0] == 0 else 0)
        allowed = np.where(moves == 0, lattice.self_loops[n, states], (moves == 1) | (moves == 2) & lattice.skips[n, states])
        if not (states[0] <= 1 and allowed[1:].all() and lattice.ends[n, states[-1]]):
            return "not a path of these labels"
    classes = lattice.classes[n, states]
    if not np.array_equal(np.where(classes == log_probs.shape[1] - 1, STAR, classes), result.path):
        return "path"
    of_path = log_probs[np.arange(frames), classes]
    if not (close(of_path, result.log_probs, slack) and close(of_path.sum(), result.log_prob, slack)):
        return "log_probs"
    for position, (span, label) in enumerate(zip(result.spans, labels, strict=True)):
        (at,) = np.nonzero(states == 2 * position + 1)
        mean = np.exp(of_path[at]).mean()
        if span.label != label or list(span.frames) != at.tolist() or not close(span.probability, mean, slack):
            return f"span {position}"
    return None


def greedy(case, frames, finite):
    values, _, given = arguments(case)
    results = greedy_decode(values, case.lengths, layout=given["layout"], **options_of(case, "repeated_outputs"))
    scores = case.values.astype(float) if frames.biased is None else frames.biased
    blank = case.options["blank"] % case.values.shape[2]
    for n, result in enumerate(results):
        rows = scores[n, : case.lengths[n]]
        path = rows.argmax(1) if len(rows) else []
        # Rounded to float32, p + epsilon of two classes may be equal where p is not.
        near = (rows >= rows.max(1, keepdims=True) * (1 - 1e-6)) & (rows < rows.max(1, keepdims=True))
        if frames.biased is not None and near.any():
            continue
        spans = []
        for t, label in enumerate(path):
            if spans and spans[-1][:2] == [label, t] and case.options["repeated_outputs"] == "merge":
                spans[-1][1] += 1
            else:
                spans.append([label, t + 1, t])
        labels = [int(label) for label, _, _ in spans if label != blank]
        ranges = [range(first, end) for label, end, first in spans if label != blank]
        log_prob = frames.log_probs[n, np.arange(len(path)), path].sum() if finite[n] else np.nan
        right = (labels, ranges, OK) if finite[n] else ([], [], NOT_FINITE)
        same = (result.labels, result.frames, result.status) == right
        if not (same and close(result.log_prob, log_prob, slack(case))):
            yield f"{item(case, n)}: {result}, right is {right}, log_prob {log_prob}"


def beam(case, frames, finite):
    """Checks that a hypothesis is at most as probable as the sum over all paths of its labels."""
    values, _, given = arguments(case)
    results = beam_decode(values, case.lengths, layout=given["layout"], width=8, top=3, **options_of(case))
    blank = case.options["blank"] % case.values.shape[2]
    for rank in range(3):
        labels = [own[rank].labels if rank < len(own) else [] for own in results]
        lattice = Lattice(labels, blank=blank, repeated_outputs="merge")
        log_p, _ = forward_backward(frames.log_probs, case.lengths, lattice)
        for n, own in enumerate(results):
            if not finite[n]:
                if own:
                    yield f"{item(case, n)}: {own}, right is nothing"
            elif not own:
                yield f"{item(case, n)}: no hypothesis"
            elif rank < len(own):
                log_prob, size = own[rank].log_prob, max(1, abs(log_p[n]))
                ordered = rank == 0 or own[rank - 1].log_prob >= log_prob
                bounded = -log_prob >= -log_p[n] - EXACT * size - slack(case)
                if not (ordered and bounded) or blank in own[rank].labels:
                    yield f"{item(case, n)}: {own}, ln p of hypothesis {rank} is {log_p[n]}"
