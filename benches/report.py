#!/usr/bin/env python3
"""Makes the table and the plot of a run of `run.py`.

    python3 benches/report.py benches/results/RUN.json [--readme]

Writes RUN.md and RUN.svg beside the results, and with --readme both into the README, between its two marks.
"""

import argparse
import json
from pathlib import Path

import gpu_tables
import plot
from tables import mebibytes, milliseconds, named, ratio, table

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

TITLES = {
    "torch": "PyTorch",
    "torch-cuda": "PyTorch CUDA",
    "torch-cudnn": "PyTorch cuDNN",
    "torch-copy": "PyTorch's `copy_`",
    "flag-gems": "FlagGems",
    "optax": "optax",
    "optax-cuda": "optax CUDA",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "burn": "Burn wgpu",
}


def key(shape):
    return ",".join(str(axis) for axis in shape)


def is_ours(name):
    return name.startswith("ctc-wgpu")


def sample(results):
    """Any line of a program that has figures, or one without."""
    good = [line for line in results.values() if "error" not in line]
    return (good or list(results.values()) or [{}])[0]


def title(name, results):
    if name == "ctc-wgpu CPU":
        return "ctc-wgpu CPU"
    if is_ours(name):
        return f"ctc-wgpu on {adapter(results)}"
    return TITLES.get(name, name)


def adapter(results):
    """The adapter without the version in its name, which the list of versions has."""
    line = sample(results)
    name = (line.get("adapter") or "GPU").split(" (")[0]
    # Two software adapters have one name.
    return "lavapipe" if name == "llvmpipe" and line.get("api") == "vulkan" else name


def figures(run):
    programs = run["programs"]
    shapes = list(programs["ctc-wgpu CPU"])
    times = {
        name: {shape: line["median_ms"] for shape, line in results.items() if "error" not in line}
        for name, results in programs.items()
    }
    titles = {name: title(name, results) for name, results in programs.items()}
    return shapes, times, titles


def table_of_times(run):
    shapes, times, titles = figures(run)
    rows = []
    for shape in shapes:
        cells = [milliseconds(times[name][shape]) if shape in times[name] else "–" for name in times]
        rows.append([named(shape), *cells])
    return table(["T, N, C, L", *(titles[name] for name in times)], rows)


def table_of_ratios(run, ours):
    shapes, times, titles = figures(run)
    peers = [name for name in times if not is_ours(name)]
    rows = []
    for shape in shapes:
        both = [shape in times[ours] and shape in times[name] for name in peers]
        cells = [ratio(times[n][shape] / times[ours][shape]) if ok else "–" for n, ok in zip(peers, both)]
        rows.append([named(shape), *cells])
    return table(["T, N, C, L", *(titles[name] for name in peers)], rows)


def torch_keeps(shape):
    """The bytes that PyTorch's CUDA loss keeps from forward to backward: f32 log-probs and gradient, alpha and beta."""
    frames, batch, classes, labels = map(int, shape.split(","))
    return batch * frames * 4 * (2 * classes + 2 * (2 * labels + 1))


def table_of_memory(run):
    """Workspace beside the caller's logits and gradient, which ours needs no copy of."""
    ours = [name for name in run["programs"] if is_ours(name)]
    rows = []
    for shape in run["programs"]["ctc-wgpu CPU"]:
        lines = [run["programs"][name].get(shape, {}) for name in ours]
        cells = [mebibytes(line["workspace_bytes"]) if "workspace_bytes" in line else "–" for line in lines]
        gpu = [line["workspace_bytes"] for line in lines[1:2] if "workspace_bytes" in line]
        share = f"{gpu[0] / torch_keeps(shape):.0%}" if gpu else "–"
        rows.append([named(shape), *cells, mebibytes(torch_keeps(shape)), share])
    titles = [title(name, run["programs"][name]) for name in ours]
    return table(["T, N, C, L", *titles, "PyTorch CUDA", "the GPU's share of that"], rows)


def versions(run):
    """Program by program, what was measured."""
    told = []
    for name, results in run["programs"].items():
        line = sample(results)
        parts = [line.get("version"), line.get("driver"), line.get("simd")]
        told.append(f"{title(name, results)} {', '.join(part for part in parts if part)}".strip())
    return "; ".join(told)


def counted(run):
    return "one round" if run["rounds"] == 1 else f"{run['rounds']} alternating rounds"


def built(run):
    return run["rustc"] or "our tool built elsewhere"


def machine(run):
    return f"{run['cpu']}, {run['threads']} threads"


# Of a core. More than a system's own services take on an idle machine.
QUIET = 0.2


def noise(run):
    """A warning, where other programs had a part in the times."""
    cores = run.get("others_cores")
    if cores is None or cores <= QUIET:
        return ""
    return f"**Provisional: other programs kept {cores:.1f} cores busy meanwhile.**"


def troubles(run):
    """What has no figure, and why."""
    told = [f"- {TITLES.get(name, name)} is absent: {reason}" for name, reason in run["absent"].items()]
    for name, results in run["programs"].items():
        for shape, line in results.items():
            if "error" in line:
                told.append(f"- {title(name, results)} at {named(shape)}: {line['error']}")
    return "\n".join(told)


def markdown(run, picture):
    _, _, titles = figures(run)
    parts = [
        f"# {run['date']}, {run['machine']}",
        f"Loss and gradient with respect to the logits, f32, in ms: the median over {counted(run)} of each "
        f"program's median. Measured by `{run['command']}` at commit {run['commit']}.",
        f"Machine: {machine(run)}, {run['cores']} cores, {run['os']}; {built(run)}, Python {run['python']}.\n"
        f"Versions: {versions(run)}.",
        noise(run),
        f"![the times as a plot]({picture})",
        table_of_times(run),
    ]
    for name in filter(is_ours, run["programs"]):
        parts += [f"How many times as long as {titles[name]} the others take:", table_of_ratios(run, name)]
    parts += gpu_tables.section(run, titles)
    parts += [
        "Memory in MiB beside the logits: what a plan's workspace takes (`Plan::workspace_bytes`, `Ctc::cached_bytes`), and, "
        "not measured but counted, what PyTorch's CUDA loss keeps from forward to backward: log-probabilities and their "
        "gradient, N·T·C floats each, and alpha and beta, N·T·(2L+1) floats each.",
        table_of_memory(run),
        troubles(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def style(name):
    if is_ours(name):
        return "ours cpu" if name == "ctc-wgpu CPU" else "ours gpu"
    return name


def picture(run):
    shapes, times, titles = figures(run)
    # One mark a style: of several adapters of ours the first is drawn.
    drawn = {}
    for name in times:
        if times[name]:
            drawn.setdefault(style(name), name)
    rows = []
    for shape in shapes:
        axes = " ".join(f"{axis}={value}" for axis, value in zip("TNCL", shape.split(",")))
        rows.append((axes, {s: times[name][shape] for s, name in drawn.items() if shape in times[name]}))
    return plot.svg(
        "CTC loss and gradient: time a batch, shorter is better",
        f"{machine(run)}, {run['date']}; log axis",
        [(s, titles[name]) for s, name in drawn.items()],
        rows,
    )


def readme(run, stem):
    results = f"benches/results/{stem}"
    gone = [TITLES.get(name, name) for name in run["absent"]]
    gone = f" Not there: {', '.join(gone)}." if gone else ""
    warning = f"{noise(run)}\n\n" if noise(run) else ""
    return (
        f"Loss and gradient in ms on {machine(run)}, {run['date']}: {versions(run)}.{gone}\n\n{warning}"
        f"![Times of ctc-wgpu and other libraries]({results}.svg)\n\n{table_of_times(run)}\n\n"
        f"Measured in {counted(run)} by `{run['command']}`; "
        f"[the ratios, and all that is to say]({results}.md)."
    )


def insert(text, section, begin=BEGIN, end=END):
    begin, end = text.index(begin) + len(begin), text.index(end)
    return f"{text[:begin]}\n{section}\n{text[end:]}"


def write(path, readme_too):
    run = json.loads(path.read_text())
    drawing = path.with_suffix(".svg")
    drawing.write_text(picture(run))
    path.with_suffix(".md").write_text(markdown(run, drawing.name))
    if readme_too:
        front = ROOT / "README.md"
        front.write_text(insert(front.read_text(), readme(run, path.stem)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--readme", action="store_true", help="put the table and the plot into the README")
    given = parser.parse_args()
    write(given.results, given.readme)
