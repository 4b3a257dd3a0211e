"""Writes the page of a session under benches/results, and its part of the README."""

import json

import gpu_tables
import report
from gpu_tables import figure
from host import slug
from stage_names import current
from tables import mebibytes, named, percent, significant, table

from session import Failed, check, figures, machine
from session.bundle import ROOT

RESULTS = ROOT / "benches/results"
README = ROOT / "README.md"
BEGIN, END = "<!-- gpu:begin -->", "<!-- gpu:end -->"
# The row of the platform table for GPUs that were not run. The rows of cards stand before it.
NOT_RUN = "| GPUs of NVIDIA"
# The stages in the order in which they are dispatched.
STAGES = ("check_labels", "softmax_stats", "sweep inward", "label_links", "sweep outward", "join", "grad")

SOFTWARE = (
    "The column `kernels` is – because times on a software adapter are wall times. The stages below are by its "
    "driver's timestamps all the same."
)


def stem(session):
    name = slug(session["adapter"]["name"])
    return f"{session['date']}-rehearsal-{name}" if rehearsed(session) else f"{session['date']}-{name}"


def rehearsed(session):
    return session["kind"] != "session"


def title(session):
    name = session["adapter"]["name"]
    if rehearsed(session):
        return f"# Rehearsal of a GPU session, {session['date']}, {name}: no figure here is of a GPU"
    return f"# A session on a GPU, {session['date']}, {name}"


def bullets(lines):
    return "\n".join(f"- {line}" for line in lines)


def environment(session):
    """Returns the command, the build, the machine and the libraries of a session."""
    built, on = session["bundle"], session["machine"]
    lines = [
        f"Measured by `{session['command']}` in {session['seconds']:.0f} s: ctc-wgpu {built['version']}, commit "
        f"{built['commit']}, {built['profile']} build, {built['rustc']}.",
        f"GPU: {figures.card(session)}.",
        f"Machine: {on['cpu']}, {on['cores']} cores, {on['distribution'] or on['os']}, {on['os']}; Python "
        f"{on['python']}, {on['libc'] or 'no glibc'}.",
    ]
    programs, absent = figures.peers(session)
    versions = [
        f"{figures.title(name)} {line['version']}"
        for name, results in programs.items()
        for line in [next((line for line in results.values() if "version" in line), None)]
        if line
    ]
    if versions:
        lines.append(f"Other libraries: {'; '.join(versions)}.")
    lines += [f"{figures.title(name)} is absent: {reason}." for name, reason in absent.items()]
    if session["limits"]["set"] != "full":
        lines.append(f"The limits were `{session['limits']['set']}`: the times mean nothing.")
    return bullets(lines)


def clocks(session):
    """Returns a table of NVIDIA's clocks before the run and just after the timed steps."""
    seen = [("before", session.get("smi"))]
    seen += [(f"after {step['title']}", step["smi"]) for step in session["steps"] if step.get("smi")]
    rows = []
    for when, gpus in seen:
        for one in gpus or []:
            # Older drivers report fewer fields.
            shown = {key: one.get(key, "–") for key in machine.SMI.split(",")}
            sm, memory = (f"{shown[f'clocks.{of}']} of {shown[f'clocks.max.{of}']}" for of in ("sm", "mem"))
            rows.append([when, shown["name"], shown["driver_version"], sm, memory, shown["temperature.gpu"], shown["power.draw"]])
    header = ["when", "GPU", "driver", "SM MHz", "memory MHz", "°C", "W"]
    return table(header, rows) if rows else ""


def table_of_ours(session):
    best, _ = gpu_tables.fastest_copy(figures.run_of(session), figures.OURS)
    rows = []
    for shape, line in figures.ours(session).items():
        if "error" in line:
            rows.append([named(shape), line["error"], *[""] * 8])
            continue
        cells = [figures.cell(figure(line, kind)) for kind in figures.KINDS]
        share = percent(line["gb_per_s"] / best) if best and "gb_per_s" in line else "–"
        spread = percent(line["spread"]) if line.get("spread") is not None else "–"
        first, second = (figures.cell(line.get(name)) for name in ("first_plan_ms", "again_plan_ms"))
        space = mebibytes(line["workspace_bytes"])
        frame = significant(line["ns_per_frame"] / 1e3)
        rows.append([named(shape), *cells, frame, share, spread, first, second, space])
    header = ["T, N, C, L", *figures.KINDS, "µs per frame", "of copying", "spread", "first plan", "again", "workspace MiB"]
    return table(header, rows)


def table_of_stages(session):
    """Returns a table of each stage's microseconds and its share of their sum."""
    found = {shape: stages(line) for shape, line in figures.ours(session).items()}
    names = list(dict.fromkeys(name for one in found.values() for name in one))
    if all(in_order_of_the_alphabet(line) for line in figures.ours(session).values()):
        # The first records have the names in alphabetical order, later ones in the order of the
        # dispatches.
        names.sort(key=lambda name: (*STAGES, name).index(name))
    if not names:
        return "No stage was timed."
    rows = []
    for shape, one in found.items():
        total = sum(one.values())
        cells = [f"{significant(one[name])} ({percent(one[name] / total) if total else '–'})" if name in one else "–" for name in names]
        rows.append([named(shape), *cells, significant(total) if one else "–"])
    return table(["T, N, C, L", *names, "sum"], rows)


def in_order_of_the_alphabet(line):
    names = list(line.get("stages_us") or {})
    return names == sorted(names)


def stages_timed_by(session):
    found = {line["stages_timed_by"] for line in figures.lines(session, "times") if "stages_timed_by" in line}
    return " or ".join(sorted(found)) or "nothing"


def stages(line):
    """Returns the stages of a line by name. Several dispatches of a stage are added up."""
    times = {}
    for name, us in (line.get("stages_us") or {}).items():
        times[current(name)] = times.get(current(name), 0) + us
    return times


def tables_of_peers(session):
    run = figures.run_of(session)
    titles = {name: figures.title(name) for name in run["programs"]}
    wrong = [
        f"{titles[name]} at {named(shape)}: {line['error']}"
        for name, results in run["programs"].items()
        for shape, line in results.items()
        if "error" in line
    ]
    return [*gpu_tables.section(run, titles), on_the_cpu(run, titles), bullets(wrong)]


def on_the_cpu(run, titles):
    """Returns a table of the libraries that found no GPU, which have one figure only."""
    others = [name for name, results in run["programs"].items() if not gpu_tables.on_gpu(results)]
    others = [name for name in others if name != figures.OURS]
    if not others:
        return ""
    rows = []
    for shape in next(iter(run["programs"].values())):
        times = [figure(run["programs"][name].get(shape, {}), "wall") for name in others]
        if any(times):
            rows.append([named(shape), *map(figures.cell, times)])
    return "On the CPU, ms:\n\n" + table(["T, N, C, L", *(titles[name] for name in others)], rows)


def table_of_more(session):
    """Returns tables of the decoders' kernels, and of variants beside the usual choice."""
    tables = []
    decoded = [line for line in figures.lines(session, "more", "decode") if "task" in line]
    if decoded:
        rows = [[named(report.key(line["shape"])), line["task"], figures.cell(line.get("median_ms"))] for line in decoded]
        tables.append("Alignment and decoding, ms:\n\n" + table(["T, N, C, L", "task", "ms"], rows))
    own, rows = figures.ours(session), []
    for part in session_parts(session):
        for line in part.get("data") or []:
            shape = report.key(line["shape"]) if "shape" in line else None
            usual, ms = own.get(shape, {}).get("median_ms"), line.get("median_ms")
            if shape and usual and ms:
                rows.append([named(shape), part["name"].split(" ")[0], figures.cell(ms, usual)])
    if rows:
        tables.append("Variants, ms, and how many times as long as the usual choice:\n\n")
        tables[-1] += table(["T, N, C, L", "variant", "ms"], rows)
    return "\n\n".join(tables) or "Nothing more was timed."


def session_parts(session):
    return [part for part in figures.parts(session, "more") if part["name"] not in ("check", "decode")]


def markdown(session):
    found = check.check(session)
    parts = [
        title(session),
        environment(session),
        "## Correctness",
        bullets(figures.correctness(session)),
        "## Times",
        "Loss and gradient with respect to the logits, f32, in ms: the mean of two rounds, of which the second takes "
        "the shapes in the other order; `spread` is how far they lie apart. `first plan` is the time to the first plan "
        "with empty caches, `again` in the second round.",
        SOFTWARE if rehearsed(session) else "",
        table_of_ours(session),
        "## Stages",
        f"µs in the first round, by {stages_timed_by(session)}:",
        table_of_stages(session),
        *tables_of_peers(session),
        "## Decoders and variants",
        table_of_more(session),
        "## The run",
        clocks(session),
        bullets(f"{step['title']}: {step['status']}, {step['seconds']:.0f} s of {step['limit_s']:.0f}" for step in session["steps"]),
        "\n".join(found.lines()[:-1]) and bullets(found.lines()[:-1]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme_table(session):
    """Returns the table of kernels and of queued steps for the seven shapes."""
    programs = figures.compared(session)
    columns = [(name, kind) for kind in figures.KINDS[:2] for name in programs]
    columns = [(n, k) for n, k in columns if any(figure(line, k) is not None for line in programs[n].values())]
    rows = [
        [named(shape), *(figures.cell(figure(programs[name].get(shape, {}), kind)) for name, kind in columns)]
        for shape in programs[figures.OURS]
    ]
    header = ["T, N, C, L", *(f"{figures.title(name)}, {kind}" for name, kind in columns)]
    return table(header, rows)


def readme_section(session):
    page = f"benches/results/{stem(session)}.md"
    return (
        f"Loss and gradient in ms on {figures.card(session)}, {session['date']}. “kernels” is the time of the kernels "
        f"alone, and “queued” the time per step of 20 steps that are queued before one wait.\n\n{readme_table(session)}\n\n"
        f"Measured by `{session['command']}`; [the stages, the ratios and the environment]({page})."
    )


def platform_row(session):
    one, tests = session["adapter"], figures.lines(session, "tests")
    passed = sum(test["status"] == "ok" for test in tests)
    names = {"vulkan": "Vulkan", "metal": "Metal", "dx12": "Direct3D 12", "gl": "GL"}
    driver = " ".join(word for word in (one["driver"], one["driver_info"]) if word)
    suite = "`validate --quick`" if figures.lines(session, "validate") else "no validation"
    return (
        f"| {names.get(one['backend'], one['backend'])}: {one['name']} ({driver}) "
        f"| {suite}, {passed} of {len(tests)} GPU tests, {session['date']} {row_mark(session)} |"
    )


def row_mark(session):
    """Returns the mark of a card's row, which is inside it: between rows it would end the table."""
    return f"<!-- gpu:{slug(session['adapter']['name'])} -->"


def with_section(text, session):
    for mark in (BEGIN, END, NOT_RUN):
        if mark not in text:
            raise Failed(f"the README has no `{mark}`")
    text = report.insert(text, readme_section(session), BEGIN, END)
    kept = [line for line in text.split("\n") if not (line.startswith("|") and row_mark(session) in line)]
    at = next(at for at, line in enumerate(kept) if line.startswith(NOT_RUN))
    kept.insert(at, platform_row(session))
    return "\n".join(kept)


def write(session, readme):
    found = check.check(session)
    if found.missing:
        raise Failed(f"the session is incomplete: {'; '.join(found.missing[:5])}")
    if readme and rehearsed(session):
        raise Failed("a rehearsal on a software adapter has no place in the README")
    if readme and not figures.passes(session):
        raise Failed(f"the README takes no figures of wrong answers: {'; '.join(figures.correctness(session))}")
    if readme and session["limits"]["set"] != "full":
        raise Failed("the README takes no figures of a run with tiny limits")
    if readme and session["bundle"]["profile"] != "release":
        raise Failed("the README takes no figures of a development build")
    if not slug(session["adapter"]["name"]):
        raise Failed(f"no file can be named after the adapter {session['adapter']['name']!r}")
    # Nothing is written before everything is made.
    try:
        page_text = markdown(session)
        readme_text = with_section(README.read_text(encoding="utf-8"), session) if readme else None
    except check.MALFORMED as error:
        raise Failed(f"the record is malformed: {type(error).__name__}: {error}") from None
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{stem(session)}.json"
    path.write_text(json.dumps(session, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = path.with_suffix(".md")
    page.write_text(page_text, encoding="utf-8")
    if readme:
        README.write_text(readme_text, encoding="utf-8")
    for written in (path, page, *([README] if readme else [])):
        print(f"written: {written.relative_to(ROOT)}")
    return 0
