"""Makes a page of what the compilers made of the pipelines: the verdict, then the tables."""

import json

# The kernels whose loops go over frames, as many at a round.
FRAMES_A_ROUND, SWEEPS = 4, ("sweep", "align")

# Columns of a table each, by the beginnings of the compilers' names.
GROUPS = {
    "AMD": ("radv-",),
    "NVIDIA, by the open driver": ("nvk-",),
    "Apple and Adreno": ("honeykrisp-", "turnip-"),
    "Intel": ("anv-",),
}

ROUNDS = """A round of a loop is 4 frames in `sweep` and `align`, 4 classes per lane in `stats` and `grad`, and one element per lane in
all others. Loops are in the order of the code; one that encloses others follows them and counts each of their instructions once, and
`⊃ 1` says how many it encloses. `stalls` is the sum of the cycles that ptxas makes the warp wait after each instruction. `cycles` is
simulated: one warp alone on its scheduler plays these stalls back and waits for memory (260 cycles to L2, 29 to shared memory),
shuffles (24), special functions (22) and barriers (24), all published figures. It is not a measurement."""

FIGURES = """A cell is *registers / spills / code size / occupancy*, as the driver reports them, and what it compiled for in brackets
(`w32`: subgroups of 32). Registers are 32-bit VGPRs on AMD, 32-bit on NVIDIA, 16-bit on Apple, vec4 of 32 bits on Adreno, and the most that
live together on Intel. Spills are registers (AMD: VGPRs + SGPRs) or store instructions (all others). Code is in bytes; occupancy is subgroups per
SIMD on AMD, warps per SM on NVK, threads per core on Apple, waves per core on Adreno; Intel's driver reports neither code size nor occupancy."""


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
        "## Verdict",
        "\n".join(f"- {line}" for line in verdict(pipelines, compilers, present)),
        "## Compilers",
        overview(pipelines, compilers.values()),
    ]
    ptxas = [name for name in present if name.startswith("ptxas-")]
    if ptxas:
        parts += ["## NVIDIA, by ptxas", ROUNDS]
        for name in ptxas:
            parts += [f"### {name}", loops(pipelines, name)]
    columns = {title: [name for name in present if name.startswith(starts)] for title, starts in GROUPS.items()}
    if any(columns.values()):
        parts += ["## Registers, spills, code size, occupancy", FIGURES]
    for title, names in columns.items():
        if names:
            parts += [f"### {title}", grid(pipelines, names)]
    if latencies := [name for name in columns["AMD"] if any("latency" in made for made in good(pipelines, name).values())]:
        parts += [
            "### AMD: ACO's own estimates",
            "Cycles of one wave from start to end, every loop once: *latency / inverse throughput*.",
            rows(pipelines, latencies, lambda made: f"{made['latency']} / {made['inverse_throughput']}"),
        ]
    return "\n\n".join(parts) + "\n"


def good(pipelines, name):
    """What a compiler made of the pipelines that it compiled."""
    compiled = {line["name"]: line["compiled"].get(name) for line in pipelines}
    return {pipeline: made for pipeline, made in compiled.items() if made and "error" not in made}


def spilled(made):
    return made.get("spills", 0) or made.get("sgpr_spills", 0)


def verdict(pipelines, compilers, present):
    absent = [name for name, compiler in compilers.items() if compiler["absent"]]
    yield f"{len(present)} compilers ran over {len(pipelines)} pipelines" + (f"; absent: {', '.join(absent)}." if absent else ".")
    for name in present:
        errors = {
            line["name"]: line["compiled"][name]["error"]
            for line in pipelines
            if "error" in line["compiled"].get(name, {})
        }
        failures = {pipeline: error for pipeline, error in errors.items() if not error.startswith("needs subgroups")}
        for pipeline, error in failures.items():
            yield f"**{name} fails at `{pipeline}`**: {error}"
    clean = []
    for name in present:
        spills = [f"`{pipeline}` {amount(made)}" for pipeline, made in good(pipelines, name).items() if spilled(made)]
        if spills:
            yield f"{name} spills in {len(spills)} pipelines, most in {worst(good(pipelines, name))}."
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
            yield f"{name}: a sweep takes {frames[least]:,.0f} (`{least}`) to {frames[most]:,.0f} cycles a frame (`{most}`), one warp alone, simulated."


def worst(compiled):
    pipeline = max(compiled, key=lambda name: compiled[name].get("spills", 0) + compiled[name].get("sgpr_spills", 0))
    return f"`{pipeline}` ({amount(compiled[pipeline])})"


def amount(made):
    """The spills, for a person."""
    spills = f"{made.get('spills', 0)}"
    if "sgpr_spills" in made:
        spills += f"+{made['sgpr_spills']}"
    loads = made.get("fills", made.get("spill_loads"))
    return f"{spills} spills" + (f", {loads} fills" if loads is not None else "")


def overview(pipelines, compilers):
    lines = []
    for compiler in compilers:
        made = [line["compiled"][compiler["id"]] for line in pipelines if compiler["id"] in line["compiled"]]
        errors = [one["error"] for one in made if "error" in one]
        state = f"absent: {compiler['absent']}" if compiler["absent"] else compiler.get("version", "")
        refused = f"{len(errors)}: {'; '.join(sorted(set(errors)))}" if errors else "0"
        spills = sum(bool(spilled(one)) for one in made)
        lines.append([compiler["id"], compiler["what"], state, len(made) - len(errors), refused, spills])
    return markdown(["compiler", "what", "version", "compiled", "refused", "of them with spills"], lines)


def per_frame(line, made):
    """Cycles a frame of a kernel that goes from frame to frame: of its longest loop."""
    if line["kernel"] not in SWEEPS or not made.get("loops"):
        return None
    return max(made["loops"], key=lambda loop: loop["instructions"])["cycles"] / FRAMES_A_ROUND


def alike(pipelines, names):
    """Lists of the pipelines of which these compilers made the same, together; most often they differ in the lanes alone."""
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
            lines.append([*head, *(loop_cells(loop) if loop else ["–"] * 4), f"**{frame:,.0f}**" if frame and big(loop, made) else ""])
            head = [""] * 4
    return markdown(["pipeline", "registers", "spilled bytes", "code", "loop: instructions", "by pipe", "stalls", "cycles", "cycles a frame"], lines)


def big(loop, made):
    return loop["instructions"] == max(other["instructions"] for other in made["loops"])


def loop_cells(loop):
    pipes = ", ".join(f"{count} {pipe}" for pipe, count in loop["pipes"].items())
    inner = f" ⊃ {loop['inner']}" if loop.get("inner") else ""
    return [f"{loop['instructions']}{inner}", pipes, loop["stalls"], loop["cycles"]]


def grid(pipelines, names):
    def cell(made):
        spills = f"{made['spills']}+{made['sgpr_spills']}" if "sgpr_spills" in made else f"{made['spills']}"
        spills = f"**{spills}**" if spilled(made) else spills
        figures = [made["registers"], spills, made.get("code_bytes", "–"), made.get("occupancy", "–")]
        return f"{' / '.join(map(str, figures))} (w{made['subgroup']})"

    return rows(pipelines, names, cell)


def rows(pipelines, names, cell):
    lines = []
    for same in alike(pipelines, names):
        made = [same[0]["compiled"].get(name) for name in names]
        cells = ["" if one is None else "refused" if "error" in one else cell(one) for one in made]
        lines.append([titles(same), *cells])
    return markdown(["pipeline", *names], lines)


def markdown(head, lines):
    ruler = ["---", *["---:"] * (len(head) - 1)] if head[0] == "pipeline" else ["---"] * len(head)
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in [head, ruler, *lines])
