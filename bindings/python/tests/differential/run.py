"""Compares every backend with the oracle, on random batches for all combinations of options.

`python tests/differential/run.py --cases 50000 --seed 7` runs more cases than the tests do,
`--any-shape` uses another shape for every four cases, and `--case 1234` runs a single case.
`--decoders` checks alignment and decoding of the same batches instead.
"""

import argparse
import sys
import time
import warnings

import ctc_wgpu
import numpy as np
from cases import make
from ctc_wgpu import SparseLabels, _core
from oracle import IMPOSSIBLE, NOT_FINITE, OK, answer

BACKENDS = "cpu", "gpu", "reference"
GARBAGE = np.iinfo(np.int32).min
#: For float32 backends: of a loss, relative to max(1, |loss|), and of a gradient, relative to the
#: scale of each of its elements.
LOSS_TOLERANCE, GRAD_TOLERANCE = 1e-6, 1e-5
#: For the reference, as far as float64 resolves it: at a loss of 2^30 it has the tolerance of the
#: others.
EXACT = 1e-9
#: The range of normal float32 numbers.
SMALLEST, LARGEST = 1.2e-38, float(np.finfo(np.float32).max)


def arguments(case):
    """Returns the arguments for the library in the forms of the case; padding is garbage."""
    items, frames, _ = case.values.shape
    label_lengths = np.array([len(own) for own in case.labels], np.int32)
    padded = np.full((items, case.width), GARBAGE, np.int32)
    for row, own in zip(padded, case.labels, strict=True):
        row[: len(own)] = own
    labels, given = padded, {"label_lengths": label_lengths}
    if case.label_form == "concatenated":
        labels = np.concatenate([row[:length] for row, length in zip(padded, label_lengths, strict=True)])
    elif case.label_form == "sparse":
        indices = [(n, i) for n, own in enumerate(case.labels) for i in range(len(own))]
        values = np.array([label for own in case.labels for label in own], np.int32)
        labels, given = SparseLabels(np.array(indices, np.int64).reshape(-1, 2), values, padded.shape), {}
    elif case.label_form == "masked":
        given = {"label_paddings": (np.arange(case.width) >= label_lengths[:, None]).astype(np.float32)}
    if case.frame_form == "lengths":
        given["logit_lengths"] = case.lengths
    elif case.frame_form == "masked":
        given["logit_paddings"] = (np.arange(frames) >= case.lengths[:, None]).astype(np.float32)
    values = case.values.transpose(1, 0, 2) if case.time_major else case.values
    return np.ascontiguousarray(values), labels, {**given, "layout": "tnc" if case.time_major else "ntc"}


def computed(case, backend, grad=True):
    """Returns the losses, the gradient `[N, T, C]` and the reduced loss of a backend."""
    values, labels, given = arguments(case)
    options = _core.options_of(case.options)
    with warnings.catch_warnings():
        # Many cases have losses below 0, for which the library warns.
        warnings.simplefilter("ignore", RuntimeWarning)
        loss, gradient, reduced = _core.compute(
            values, labels, options, weights=case.weights, backend=backend, grad=grad, **given
        )
    if gradient is not None and case.time_major:
        gradient = gradient.transpose(1, 0, 2)
    return loss, gradient, reduced


def failures(case, backends=BACKENDS):
    """Describes the errors in the results of the backends."""
    # This option only makes some labels an error, and no case has such labels.
    choices = {name: value for name, value in case.options.items() if name != "blank_in_labels"}
    right = answer(case.values, case.labels, case.lengths, case.weights, **choices)
    found = []
    for backend in backends:
        try:
            loss, grad, reduced = computed(case, backend)
            # The loss alone has other kernels, which every other plan's cases compile too.
            alone = computed(case, backend, grad=False) if case.number % 8 == 0 else None
        except ValueError as error:
            wrong = rejected(right, case, str(error))
        else:
            wrong = differences(right, case, loss, grad, reduced, backend == "reference")
            if alone and not (same(alone[0], loss) and same(alone[2] or 0, reduced or 0)):
                wrong.append(f"the loss alone is {alone[0]}, {alone[2]}, and with the gradient {loss}, {reduced}")
        found += [f"{case}\n  {backend}: {text}" for text in wrong]
    return found


def same(one, other):
    """Compares results whose sums may have another order."""
    return np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)


def rejected(right, case, message):
    """Returns no error if the case must raise: an impossible item with `impossible="error"`."""
    items = np.flatnonzero((right.status == IMPOSSIBLE) | right.undecided)
    reports = (message.startswith(f"item {n}: no valid alignment") for n in items)
    if case.options["impossible"] == "error" and any(reports):
        return []
    return [f"raises {message}"]


@np.errstate(all="ignore")
def differences(right, case, loss, grad, reduced, exact):
    """Describes the items and elements that are wrong."""
    impossible = right.status == IMPOSSIBLE
    decided = ~right.undecided
    if case.options["impossible"] == "error" and (impossible & decided).any():
        return [f"no error, but item {np.argmax(impossible)} is impossible"]
    wrong = []
    size = np.maximum(1.0, np.nan_to_num(np.abs(right.loss), posinf=1.0))
    digits = np.clip(EXACT * size, None, LOSS_TOLERANCE) if exact else np.full(len(size), LOSS_TOLERANCE)

    for n in np.flatnonzero(decided):
        # The reference does not round losses slightly below 0 to 0, as the backends do.
        as_is = exact and right.status[n] == OK
        got, true = float(loss[n]), float(right.formula[n] if as_is else right.loss[n])
        off = abs(got - true)
        if true <= 0:
            # A rounding error decides whether a loss near -1e-6 becomes 0.
            off = min(off, abs(got - right.formula[n]))
        close = np.isfinite(got) and off <= digits[n] * size[n]
        rounded = not exact and -1e-6 < got < 0 or (got == 0 and np.signbit(got))
        if not (close or got == true or (np.isnan(got) and np.isnan(true))) or rounded:
            wrong.append(f"{item(case, n)}: loss {got!r}, right is {true!r} ({right.status[n]})")

    unit = np.nan_to_num(right.unit) * np.abs(right.scale)[:, None, None]
    tolerance = GRAD_TOLERANCE * (digits / LOSS_TOLERANCE)[:, None, None] * unit + (0 if exact else SMALLEST)
    nothing = right.grad == 0
    # The gradient is exactly 0 in the padding, of impossible items and with a weight of 0.
    counts = (np.arange(grad.shape[1]) < case.lengths[:, None]) & ((right.scale != 0) & ~impossible)[:, None]
    tolerance = np.where(nothing & ~counts[..., None], 0.0, tolerance)
    off = np.abs(grad - right.grad)
    off = np.where(np.isnan(grad) & np.isnan(right.grad), 0.0, np.where(np.isnan(off), np.inf, off))
    if not exact:
        beyond = (np.abs(right.grad) >= LARGEST * (1 - GRAD_TOLERANCE)) & (grad == np.copysign(np.inf, right.grad))
        off = np.where(beyond, 0.0, off)
    worst = np.where(decided[:, None, None] & (off > tolerance), off / np.maximum(unit, SMALLEST), 0.0)
    for n in np.flatnonzero(worst.any((1, 2))):
        t, k = np.unravel_index(np.argmax(worst[n]), worst[n].shape)
        wrong.append(
            f"{item(case, n)}: gradient {grad[n, t, k]!r} at frame {t}, class {k}, right is {right.grad[n, t, k]!r},"
            f" {worst[n, t, k]:.3g} of its unit; its loss is {right.loss[n]!r} ({right.status[n]})"
        )

    if decided.all() and (reduced is not None or right.reduced is not None):
        counted = right.scale != 0
        slack = float((digits * size * np.abs(right.scale))[counted].sum()) + (0 if exact else SMALLEST)
        if exact:
            unrounded = np.where(right.status == OK, right.formula - right.loss, 0.0)
            slack += float(np.abs(right.scale * unrounded)[counted].sum())
        close = np.isfinite(reduced) and abs(reduced - right.reduced) <= slack
        if not (close or reduced == right.reduced or (np.isnan(reduced) and np.isnan(right.reduced))):
            wrong.append(f"reduced {reduced!r}, right is {right.reduced!r}")
    return wrong


def item(case, n):
    return f"item {n} (T={case.lengths[n]}, labels {case.labels[n]}, {', '.join(case.tweaks[n]) or 'usual'})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2304, help="number of cases (2304 have each combination of options once)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run only this case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--any-shape", action="store_true", help="use a random shape for each plan: slow on a GPU")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="comma-separated")
    parser.add_argument("--decoders", action="store_true", help="check alignment and decoding on the CPU")
    parser.add_argument("--most", type=int, default=20, help="number of failures after which to stop")
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.cases) if given.case is None else [given.case]
    if given.decoders:
        import decoding

        backends, check = [], decoding.failures
    else:
        backends = given.backends.split(",")

        def check(case):
            return failures(case, backends)

    for name in backends:
        print(f"{name}: {ctc_wgpu.backend_name(name)}")
    began, found, items = time.monotonic(), [], 0
    for number in numbers:
        case = make(number, given.seed, given.any_shape)
        items += len(case.labels)
        for text in check(case):
            found.append(text)
            print(text, flush=True)
        if len(found) >= given.most:
            break
    print(f"{number + 1 - numbers[0]} cases, {items} items, {len(found)} failures in {time.monotonic() - began:.1f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
