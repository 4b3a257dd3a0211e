#!/usr/bin/env python3
"""Measures how the time grows with each of T, N, C and L, on the CPU backend and the adapter.

    python3 benches/scaling.py                # builds, measures, writes the results
    python3 benches/scaling.py RESULTS.json   # only makes the table and the plot again

One axis is doubled at a time. The results are benches/results/<date>-<machine>-scaling.json, .md
and .svg. A line that is parallel to the dashed one is linear; a flatter one is still dominated by
its fixed costs.
"""

import argparse
import json
import math
import os
import shlex
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import plot
import report
import run
import tables

MIDDLE = {"T": 1600, "N": 4, "C": 64, "L": 20}
# The first value of each axis, and the number of times that it is doubled.
AXES = {"T": (100, 6), "N": (1, 6), "C": (32, 7), "L": (5, 7)}
STYLES = {"cpu": "ours cpu", "gpu": "ours gpu"}
PANEL, HEIGHT, GAP, LEFT, TOP = 330, 250, 84, 76, 118


def shapes(axis):
    first, doublings = AXES[axis]
    for doubling in range(doublings + 1):
        yield list((MIDDLE | {axis: first << doubling}).values())


def measure(tool, threads):
    measured = {}
    for backend, rest in {"cpu": ["--threads", threads], "gpu": []}.items():
        lines = []
        for axis in AXES:
            words = [word for shape in shapes(axis) for word in ("--shape", ",".join(map(str, shape)))]
            run.say(f"{backend}: {axis}")
            command = [tool, "bench", "--json", "--backend", backend, *rest, *words]
            lines += json.loads(run.call(command))
        measured[backend] = lines
    return measured


def curve(lines, axis):
    """Returns pairs (value of the axis, ms), from the left."""
    by_shape = {tuple(line["shape"]): line["median_ms"] for line in lines if "error" not in line}
    index = list(MIDDLE).index(axis)
    return [(shape[index], by_shape[tuple(shape)]) for shape in shapes(axis) if tuple(shape) in by_shape]


def growth(points):
    """Returns the factor of the time for the last doubling of the axis: 2 is linear."""
    return points[-1][1] / points[-2][1]


def table(results):
    rows = []
    for axis in AXES:
        for backend, lines in results["backends"].items():
            points = curve(lines, axis)
            values = " ".join(tables.milliseconds(ms) for _, ms in points)
            rows.append([f"{axis} = {points[0][0]} … {points[-1][0]}", backend, values, f"{growth(points):.2f}"])
    return tables.table(["axis", "backend", "ms, doubled from one to the next", "last doubling"], rows)


def panel(axis, results, x0, y0):
    curves = {backend: curve(lines, axis) for backend, lines in results["backends"].items()}
    values = [value for points in curves.values() for value, _ in points]
    times = [ms for points in curves.values() for _, ms in points]
    left, bottom = math.log2(min(values)), math.floor(math.log10(min(times)))
    right, top = math.log2(max(values)), math.ceil(math.log10(max(times)))

    def at(value, ms):
        x = x0 + (math.log2(value) - left) / (right - left) * PANEL
        return x, y0 + HEIGHT - (math.log10(ms) - bottom) / (top - bottom) * HEIGHT

    rest = ", ".join(f"{name}={value}" for name, value in MIDDLE.items() if name != axis)
    out = [
        f'<text class="ours" x="{x0}" y="{y0 - 12}">{axis}</text>',
        f'<text class="small" x="{x0 + 20}" y="{y0 - 12}">{rest}</text>',
    ]
    for decade in range(bottom, top + 1):
        y = at(values[0], 10**decade)[1]
        out.append(f'<line class="grid" x1="{x0}" x2="{x0 + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(
            f'<text class="small" text-anchor="end" x="{x0 - 8}" y="{y + 4:.1f}">{plot.label(10.0**decade)}</text>'
        )
    for value in sorted(set(values)):
        x = at(value, 1)[0]
        out.append(
            f'<text class="small" text-anchor="middle" x="{x:.1f}" y="{y0 + HEIGHT + 20}">{value}</text>'
        )
    for backend, points in curves.items():
        colour, _ = plot.STYLES[STYLES[backend]]
        # Linear, through the last point, as far as the panel's floor.
        value, ms = points[-1]
        start = max(points[0][0], value * 10.0**bottom / ms)
        (xa, ya), (xb, yb) = at(start, ms * start / value), at(value, ms)
        out.append(
            f'<line x1="{xa:.1f}" y1="{ya:.1f}" x2="{xb:.1f}" y2="{yb:.1f}" stroke="{colour}" stroke-dasharray="3 5"/>'
        )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [plot.mark(STYLES[backend], *at(*point), False) for point in points]
    return out


def picture(results):
    width = LEFT + 2 * PANEL + GAP + 30
    height = TOP + 2 * HEIGHT + GAP + 50
    title = "CTC loss and gradient: time against each axis"
    note = f"{report.machine(results)}, {results['date']}; log axes; dashed: linear through the last point"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{escape(title)}</title><style>{plot.CSS}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="title" x="20" y="30">{escape(title)}</text>',
        f'<text class="small" x="20" y="50">{escape(note)}</text>',
    ]
    programs = [(STYLES[backend], results["titles"][backend]) for backend in results["backends"]]
    plot.legend(programs, out, 74)
    for number, axis in enumerate(AXES):
        column, row = number % 2, number // 2
        out += panel(axis, results, LEFT + column * (PANEL + GAP), TOP + row * (HEIGHT + GAP))
    return "\n".join([*out, "</svg>\n"])


def write(path):
    results = json.loads(path.read_text())
    path.with_suffix(".svg").write_text(picture(results))
    text = (
        f"# {results['date']}, {results['machine']}: how the time grows\n\n"
        f"Loss and gradient, ms. The axes that are not doubled stay at "
        f"{' '.join(f'{name}={value}' for name, value in MIDDLE.items())}. Measured by `{results['command']}` at commit "
        f"{results['commit']} on {report.machine(results)}; gpu is {results['titles']['gpu']}.\n\n"
        f"{report.noise(results)}\n\n"
        f"![the times as curves]({path.with_suffix('.svg').name})\n\n{table(results)}\n"
    )
    path.with_suffix(".md").write_text(text.replace("\n\n\n\n", "\n\n"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="?", type=Path, help="the results of an earlier run: only make their table and plot again")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="threads of the CPU backend")
    parser.add_argument("--machine", metavar="NAME", help="name in the result files; default: the processor's")
    run.tool_arguments(parser)
    args = parser.parse_args()
    if args.results:
        return write(args.results)
    began, tool = run.commit(), run.built(args)
    others = run.Others()
    backends = measure(tool, args.threads)
    results = {
        **run.machine(args, began, others.cores()),
        "titles": {
            backend: report.title("ctc-wgpu CPU" if backend == "cpu" else "ctc-wgpu GPU", {"": lines[0]})
            for backend, lines in backends.items()
        },
        "command": shlex.join(["python3", "benches/scaling.py", *sys.argv[1:]]),
        "backends": backends,
    }
    path = run.HERE / "results" / f"{results['date']}-{results['machine']}-scaling.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    write(path)
    run.say(f"written: {path.relative_to(run.ROOT)}, and .md and .svg beside it")


if __name__ == "__main__":
    try:
        main()
    except run.Failed as failure:
        sys.exit(f"error: {failure}")
