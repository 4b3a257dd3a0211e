"""Reads the figures from a session's record: ours, those of other libraries, and correctness."""

from statistics import mean

import report
from gpu_tables import fastest_copy, figure
from run import COPY, check_results
from tables import milliseconds, ratio

OURS = "ctc-wgpu"

# The three figures that are compared: the time of the kernels alone, of one of many steps that are
# queued before one wait, and of one step that is waited for.
KINDS = ("kernels", "queued", "wall")


def parts(session, name):
    found = [step for step in session.get("steps", []) if step["name"] == name]
    return found[0]["parts"] if found else []


def lines(session, name, wanted=None):
    """Returns the lines of a step's parts, or of the parts with this name."""
    chosen = [part for part in parts(session, name) if wanted is None or part["name"] == wanted]
    return [line for part in chosen for line in part.get("data") or []]


def by_shape(found):
    return {report.key(line["shape"]): line for line in found if "shape" in line}


def ours(session):
    """Returns our figures by shape: the mean of the two rounds, and their spread."""
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
    """Returns the other libraries' figures by name and shape, and the reasons of absent ones."""
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
    """Returns ours and the others' by name. Results that differ from ours have an error instead."""
    own = ours(session)
    programs, _ = peers(session)
    # The others have the shapes of the first round; only ours has the larger batches.
    shared = {shape: own[shape] for shape in by_shape(lines(session, "times"))}
    check_results({OURS: shared, **programs}, OURS)
    return {OURS: own, **programs}


def run_of(session):
    """Returns the record as a run for `gpu_tables`: programs, ours first, and PyTorch's copy."""
    copied = lines(session, "torch", COPY)
    return {"programs": compared(session), "copy": copied[0] if copied and "absent" not in copied[0] else None}


def correctness(session):
    """Returns one line per check of correctness."""
    lines_found = []
    suite = lines(session, "validate")
    if suite:
        result = "pass" if suite[0]["passed"] else "FAIL"
        lines_found.append(f"conformance suite ({suite[0]['extent']}): {suite[0]['cases']} cases, {result}")
    else:
        lines_found.append(f"conformance suite: no result ({status(session, 'validate')})")
    own = ours(session)
    wrong = [shape for shape, line in own.items() if "error" in line]
    lines_found.append(f"answers of the timed batches: {len(own) - len(wrong)} of {len(own)} right")
    tests = lines(session, "tests")
    if tests:
        passed = sum(test["status"] == "ok" for test in tests)
        others = [f"{test['test']} {test['status']}" for test in tests if test["status"] != "ok"]
        more = f": {', '.join(others[:5])}{', …' if len(others) > 5 else ''}" if others else ""
        lines_found.append(f"GPU tests: {passed} of {len(tests)} pass{more}")
    else:
        lines_found.append(f"GPU tests: no result ({status(session, 'tests')})")
    batch = lines(session, "more", "check")
    if batch and "passed" in batch[0]:
        lines_found.append(f"the batch of a real network: {'pass' if batch[0]['passed'] else 'FAIL'}")
    return lines_found


def status(session, name):
    found = [step for step in session.get("steps", []) if step["name"] == name]
    return found[0].get("reason") or found[0]["status"] if found else "missing"


def passes(session):
    """Returns whether all checks pass, and the suite and the GPU tests ran.

    Tests that ran out of time do not count.
    """
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
    """Returns a table of at most 20 lines for the end of the run."""
    run = run_of(session)
    programs = run["programs"]
    names = list(programs)
    titles = [title(name) for name in names]
    text = [card(session), *correctness(session), fastest_copy(run, OURS)[1]]
    text.append("ms: kernels / a queued step / a step waited for; ns/frame of our kernels")
    rows = [["T,N,C,L", "ns/frame", *titles]]
    for shape, line in programs[OURS].items():
        frame = f"{line['ns_per_frame']:.0f}" if "ns_per_frame" in line else "FAIL"
        cells = [" / ".join(cell(figure(programs[name].get(shape, {}), kind)) for kind in KINDS) for name in names]
        rows.append([shape, frame, *cells])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    text += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    bad = [f"{s['name']} {s['status']}" for s in session["steps"][:-1] if s["status"] not in ("ok", "absent")]
    text.append(f"steps that did not end well: {', '.join(bad) or 'none'}")
    return text[:20]
