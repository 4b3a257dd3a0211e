"""Reads the figures out of a session's record: ours, those of other libraries, and the verdicts."""

from statistics import mean

import report
from gpu_tables import fastest_copy, figure
from run import COPY, judge
from tables import milliseconds, ratio

OURS = "ctc-wgpu"

# The three figures that are compared: the time of the kernels alone, of one of many steps that are
# queued before one wait, and of one step that is waited for.
KINDS = ("kernels", "queued", "wall")


def parts(session, name):
    found = [step for step in session.get("steps", []) if step["name"] == name]
    return found[0]["parts"] if found else []


def lines(session, name, wanted=None):
    """The lines of a step's parts, or of the parts that are called so."""
    chosen = [part for part in parts(session, name) if wanted is None or part["name"] == wanted]
    return [line for part in chosen for line in part.get("data") or []]


def by_shape(found):
    return {report.key(line["shape"]): line for line in found if "shape" in line}


def ours(session):
    """Our figures by shape: the mean of the two rounds, and how far these lie apart."""
    rounds = [by_shape(lines(session, name)) for name in ("times", "again")]
    figures = {}
    for shape in dict.fromkeys(key for seen in rounds for key in seen):
        seen = [found[shape] for found in rounds if shape in found]
        wrong = [line for line in seen if "error" in line]
        if wrong:
            figures[shape] = {"error": wrong[0]["error"]}
            continue
        both = [line["median_ms"] for line in seen]
        numbers = {"median_ms", "wall_ms", "queued_ms", "ns_per_frame", "gb_per_s"}
        middle = {name: mean(line[name] for line in seen) for name in numbers if all(name in line for line in seen)}
        figures[shape] = {**seen[0], **middle, "spread": max(both) / min(both) - 1 if len(both) > 1 else None}
        if shape in rounds[1]:
            figures[shape]["again_plan_ms"] = rounds[1][shape].get("first_plan_ms")
    return figures


def peers(session):
    """The figures of the other libraries by name and shape, and why some have none at all."""
    programs, absent = {}, {}
    for name in ("torch", "optax"):
        for part in parts(session, name):
            if part["name"] == COPY:
                continue
            found = by_shape(part.get("data") or [])
            if found:
                programs[part["name"]] = found
            else:
                absent[part["name"]] = part.get("reason") or part["status"]
    return programs, absent


def compared(session):
    """Ours and the others' by name; an answer that does not agree with ours has an error in place of figures."""
    own = ours(session)
    programs, _ = peers(session)
    # Theirs are the shapes of the first round; the larger batches are ours alone.
    shared = {shape: own[shape] for shape in by_shape(lines(session, "times"))}
    judge({OURS: shared, **programs}, OURS)
    return {OURS: own, **programs}


def run_of(session):
    """The record as `gpu_tables` takes a run: the programs, ours first, and PyTorch's copy."""
    copied = lines(session, "torch", COPY)
    return {"programs": compared(session), "copy": copied[0] if copied and "absent" not in copied[0] else None}


def verdict(session):
    """Correctness in lines: what was judged, and what came of it."""
    told = []
    suite = lines(session, "validate")
    if suite:
        came = "pass" if suite[0]["passed"] else "FAIL"
        told.append(f"conformance suite ({suite[0]['extent']}): {suite[0]['cases']} cases, {came}")
    else:
        told.append(f"conformance suite: no verdict ({status(session, 'validate')})")
    own = ours(session)
    wrong = [shape for shape, line in own.items() if "error" in line]
    told.append(f"answers of the timed batches: {len(own) - len(wrong)} of {len(own)} right")
    tests = lines(session, "tests")
    if tests:
        passed = sum(test["status"] == "ok" for test in tests)
        others = [f"{test['test']} {test['status']}" for test in tests if test["status"] != "ok"]
        more = f": {', '.join(others[:5])}{', …' if len(others) > 5 else ''}" if others else ""
        told.append(f"GPU tests: {passed} of {len(tests)} pass{more}")
    else:
        told.append(f"GPU tests: no verdict ({status(session, 'tests')})")
    batch = lines(session, "more", "check")
    if batch and "passed" in batch[0]:
        told.append(f"the batch of a real network: {'pass' if batch[0]['passed'] else 'FAIL'}")
    return told


def status(session, name):
    found = [step for step in session.get("steps", []) if step["name"] == name]
    return found[0].get("reason") or found[0]["status"] if found else "missing"


def passes(session):
    """Whether everything that was judged is right, and the suite and GPU tests ran. Tests that ran out of time judge nothing."""
    suite = lines(session, "validate")
    own = ours(session)
    tests = lines(session, "tests")
    batch = lines(session, "more", "check")
    return bool(
        suite
        and suite[0]["passed"]
        and own
        and not any("error" in line for line in own.values())
        and tests
        and not any(test["status"] == "failed" for test in tests)
        and all(line.get("passed", True) for line in batch)
    )


def title(name):
    return report.TITLES.get(name, name)


def cell(ms, own=None):
    if ms is None:
        return "–"
    return milliseconds(ms) + (f" ({ratio(ms / own)})" if own else "")


def card(session):
    one = session["adapter"] or {}
    driver = " ".join(word for word in (one.get("driver"), one.get("driver_info")) if word)
    return f"{one.get('name')}, {one.get('backend')}, {driver}".rstrip(", ")


def terminal(session):
    """A table of at most 20 lines for the end of the run."""
    run = run_of(session)
    programs = run["programs"]
    names = list(programs)
    titles = [title(name) for name in names]
    told = [card(session), *verdict(session), fastest_copy(run, OURS)[1]]
    told.append("ms: kernels / a queued step / a step waited for; ns/frame of our kernels")
    rows = [["T,N,C,L", "ns/frame", *titles]]
    for shape, line in programs[OURS].items():
        frame = f"{line['ns_per_frame']:.0f}" if "ns_per_frame" in line else "FAIL"
        cells = [" / ".join(cell(figure(programs[name].get(shape, {}), kind)) for kind in KINDS) for name in names]
        rows.append([shape, frame, *cells])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    told += ["  ".join(text.rjust(width) for text, width in zip(row, widths)) for row in rows]
    bad = [f"{s['name']} {s['status']}" for s in session["steps"][:-1] if s["status"] not in ("ok", "absent")]
    told.append(f"steps that did not end well: {', '.join(bad) or 'none'}")
    return told[:20]
