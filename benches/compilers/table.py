"""Writes the page of results: a summary, then the tables."""

import json

# The frames per iteration of a sweep's main loop, and the kernels that have one. `align` is the
# name of `viterbi` in earlier records.
FRAMES_PER_ITERATION, SWEEPS = 4, ("sweep", "viterbi", "align")

# One table each: the prefixes of the compilers in its columns.
GROUPS = {
    "AMD": ("radv-",),
    "NVIDIA, by the open driver": ("nvk-",),
    "Apple and Adreno": ("honeykrisp-", "turnip-"),
    "Intel": ("anv-",),
}

LOOPS = """One iteration of a loop is 4 frames in `sweep` and `viterbi`, 4 classes per lane in the
row loops of `softmax_stats` and `grad`, and one element per lane in other loops. Loops are in the order of
the code. A loop that encloses others follows them: `⊃ 2` means that it encloses two, and each of
their instructions is counted once. `stalls` is the sum of ptxas's stall counts. `cycles` is
simulated: one warp alone on its scheduler waits for these stalls, memory (260 cycles for L2, 29 for
shared memory), shuffles (24), special functions (22) and barriers (24). These latencies are
published figures. Nothing here is a measurement. Spills are bytes stored."""

FIGURES = """One cell is *registers / spills / code size in bytes / occupancy (subgroup
size)*, as the driver reports them. Pipelines with subgroups run only where a driver reports a single
size for all; on other devices their figures are for comparison.

| | registers | spills | occupancy |
| --- | --- | --- | --- |
| AMD | VGPRs of 32 bits | VGPRs + SGPRs | subgroups per SIMD |
| NVK | 32 bits | stores to memory | warps per SM |
| Apple | 16 bits | stores | threads per core |
| Adreno | 4 × 32 bits | stores | waves per core |
| Intel | the most that are live at once | stores | not reported, and instructions for code size |"""


def write(path):
    """Writes the page beside the results."""
    page = path.with_suffix(".md")
    page.write_text(text(json.loads(path.read_text())))
    return page


def text(results):
    compilers = {compiler["id"]: compiler for compiler in results["compilers"]}
    present = [name for name, compiler in compilers.items() if not compiler["absent"]]
    pipelines = results["pipelines"]
    parts = [
        f"# What GPU compilers make of the kernels ({results['date']}, commit {results['commit']})",
        "Made by `benches/compilers.sh`, without a GPU. Nothing here was measured on one.",
        "## Summary",
        "\n".join(f"- {line}" for line in summary(pipelines, compilers, present)),
        "## Compilers",
        overview(pipelines, compilers.values()),
    ]
    ptxas = [name for name in present if name.startswith("ptxas-")]
    if ptxas:
        parts += ["## NVIDIA, by ptxas", LOOPS]
        for name in ptxas:
            parts += [f"### {name}", loops(pipelines, name)]
    columns = {
        title: [name for name in present if name.startswith(starts)]
        for title, starts in GROUPS.items()
    }
    if any(columns.values()):
        parts += ["## Registers, spills, code size, occupancy", FIGURES]
    for title, names in columns.items():
        if names:
            parts += [f"### {title}", rows(pipelines, names, cell)]
    if columns["AMD"]:
        parts += [
            "### AMD: ACO's own estimates",
            "Cycles of one wave if every loop ran once: *latency / inverse throughput*.",
            rows(pipelines, columns["AMD"], estimate),
        ]
    return "\n\n".join(parts) + "\n"


def good(pipelines, name):
    """Returns the figures of the pipelines that a compiler accepted."""
    compiled = {line["name"]: line["compiled"].get(name) for line in pipelines}
    return {pipeline: made for pipeline, made in compiled.items() if made and "error" not in made}


def failed(pipelines, name):
    """Returns the pipelines that a compiler rejects although its device has their subgroup size."""
    errors = ((line["name"], line["compiled"].get(name, {}).get("error")) for line in pipelines)
    return [
        (pipeline, error)
        for pipeline, error in errors
        if error and not error.startswith("requires subgroups")
    ]


def spilled(made):
    return made.get("spills", 0) or made.get("sgpr_spills", 0)


def summary(pipelines, compilers, present):
    absent = [name for name, compiler in compilers.items() if compiler["absent"]]
    yield f"{len(present)} compilers ran over {len(pipelines)} pipelines" + (
        f"; absent: {', '.join(absent)}." if absent else "."
    )
    clean = []
    for name in present:
        if failures := failed(pipelines, name):
            pipeline, error = failures[0]
            yield f"**{name} fails at {len(failures)} pipelines**, first at `{pipeline}`: {error}"
        compiled = good(pipelines, name)
        spills = sum(bool(spilled(made)) for made in compiled.values())
        if spills:
            yield f"{name} spills in {spills} pipelines, most in {worst(compiled)}."
        else:
            clean.append(name)
    if clean:
        yield f"No spills: {', '.join(clean)}."
    for name in present:
        frames = {
            pipeline: per_frame(line, made)
            for line in pipelines
            for pipeline, made in good([line], name).items()
            if line["kernel"] == "sweep" and per_frame(line, made)
        }
        if frames:
            least, most = min(frames, key=frames.get), max(frames, key=frames.get)
            yield (
                f"{name}: a sweep takes {frames[least]:,.0f} (`{least}`) to {frames[most]:,.0f} "
                f"cycles per frame (`{most}`), one warp alone, simulated."
            )


def worst(compiled):
    pipeline = max(
        compiled,
        key=lambda name: compiled[name].get("spills", 0) + compiled[name].get("sgpr_spills", 0),
    )
    return f"`{pipeline}` ({amount(compiled[pipeline])})"


def amount(made):
    """Formats the spills."""
    spills = f"{made.get('spills', 0)}"
    if "sgpr_spills" in made:
        spills += f"+{made['sgpr_spills']}"
    loads = made.get("fills", made.get("spill_loads"))
    return f"{spills} spills" + (f", {loads} fills" if loads is not None else "")


def overview(pipelines, compilers):
    lines = []
    for compiler in compilers:
        made = [
            line["compiled"][compiler["id"]]
            for line in pipelines
            if compiler["id"] in line["compiled"]
        ]
        errors = [one["error"] for one in made if "error" in one]
        state = (
            f"absent: {compiler['absent']}" if compiler["absent"] else compiler.get("version", "")
        )
        refused = f"{len(errors)}: {'; '.join(sorted(set(errors)))}" if errors else "0"
        if made:
            refused += not_given(pipelines, compiler["id"])
        spills = sum(bool(spilled(one)) for one in made)
        lines.append(
            [compiler["id"], compiler["what"], state, len(made) - len(errors), refused, spills]
        )
    return markdown(
        ["compiler", "what", "version", "compiled", "refused", "of them with spills"], lines
    )


def not_given(pipelines, name):
    """Returns how many pipelines were not given to a compiler, for which subgroups."""
    missing = [line for line in pipelines if name not in line["compiled"]]
    if not missing:
        return ""
    # The lanes of a pipeline with subgroups are those of one subgroup.
    sizes = sorted({line["constants"]["LANES"] for line in missing if line["subgroups"]})
    required = f" for subgroups of {' and '.join(map(str, sizes))}" if sizes else ""
    return f"; {len(missing)}{required} are not given to it"


def per_frame(line, made):
    """Returns the cycles per frame of a kernel that goes over frames: of its longest loop."""
    if line["kernel"] not in SWEEPS or not made.get("loops"):
        return None
    return max(made["loops"], key=lambda loop: loop["instructions"])["cycles"] / FRAMES_PER_ITERATION


def alike(pipelines, names):
    """Groups the pipelines with equal figures, which mostly differ in their lanes only."""
    groups = {}
    for line in pipelines:
        made = [line["compiled"].get(name) for name in names]
        if any(made):
            groups.setdefault(json.dumps([line["kernel"], made]), []).append(line)
    return groups.values()


def titles(lines):
    return ", ".join(f"`{line['name']}`" for line in lines)


def loops(pipelines, name):
    lines = []
    for same in alike(pipelines, [name]):
        line = same[0]
        made = good([line], name).get(line["name"])
        if made is None:
            continue
        frame = per_frame(line, made)
        head = [titles(same), made["registers"], made["spills"], made["code_bytes"]]
        for loop in made["loops"] or [None]:
            lines.append(
                [
                    *head,
                    *(loop_cells(loop) if loop else ["–"] * 4),
                    f"**{frame:,.0f}**" if frame and big(loop, made) else "",
                ]
            )
            head = [""] * 4
    return markdown(
        [
            "pipeline",
            "registers",
            "spilled bytes",
            "code",
            "loop: instructions",
            "by pipe",
            "stalls",
            "cycles",
            "cycles per frame",
        ],
        lines,
    )


def big(loop, made):
    return loop["instructions"] == max(other["instructions"] for other in made["loops"])


def loop_cells(loop):
    pipes = ", ".join(f"{count} {pipe}" for pipe, count in loop["pipes"].items())
    inner = f" ⊃ {loop['inner']}" if loop.get("inner") else ""
    return [f"{loop['instructions']}{inner}", pipes, loop["stalls"], loop["cycles"]]


def cell(made):
    spills = "+".join(str(made[key]) for key in ("spills", "sgpr_spills") if key in made)
    spills = f"**{spills}**" if spilled(made) else spills
    code = made["code_bytes"] if "code_bytes" in made else f"{made['instructions']} instructions"
    figures = [made["registers"], spills, code, made.get("occupancy", "–")]
    return f"{' / '.join(map(str, figures))} (w{made['subgroup']})"


def estimate(made):
    return f"{made['latency']} / {made['inverse_throughput']}"


def rows(pipelines, names, shown):
    lines = []
    for same in alike(pipelines, names):
        made = [same[0]["compiled"].get(name) for name in names]
        cells = ["" if one is None else "refused" if "error" in one else shown(one) for one in made]
        lines.append([titles(same), *cells])
    return markdown(["pipeline", *names], lines)


def markdown(head, lines):
    ruler = ["---", *["---:"] * (len(head) - 1)] if head[0] == "pipeline" else ["---"] * len(head)
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
        for line in [head, ruler, *lines]
    )
