"""The tables of a run on a GPU.

One table each for kernels only, steps queued and one step waited for, and one of the batches that
fit the L2 cache.
"""

from tables import mebibytes, milliseconds, named, percent, ratio, table

FIGURES = {
    "kernels": "**Kernels only.** Ours: the device's timestamps around all dispatches of a step, gaps between them included. "
    "The others: the sum of the durations of a step's kernels, copies and fills by the library's profiler, gaps not included.",
    "queued": "**Steps queued.** Twenty steps are enqueued, and the end of the last is waited for; the time is divided by 20.",
    "wall": "**One step waited for**, from the call until the device is done.",
}


def figure(line, name):
    """Returns a line's milliseconds of this kind, or None."""
    if "error" in line:
        return None
    # ctc-wgpu prints the time by its timestamps as the median.
    stamped = name == "kernels" and line.get("timed_by") == "timestamps"
    return line.get("median_ms" if stamped else f"{name}_ms")


def on_gpu(results):
    return any(line.get("queued_ms") is not None for line in results.values())


def table_of(run, name, programs, titles):
    """Returns the table of one figure, or None if no program has it.

    Ratios are relative to the first program, which is ours.
    """
    ours, *others = programs
    rows = []
    for shape, line in run["programs"][ours].items():
        right = figure(line, name)
        cells = [milliseconds(right) if right else "–"]
        for other in others:
            ms = figure(run["programs"][other].get(shape, {}), name)
            share = f" ({ratio(ms / right)})" if ms and right else ""
            cells.append(f"{milliseconds(ms)}{share}" if ms else "–")
        rows.append([named(shape), *cells])
    if all(cell == "–" for row in rows for cell in row[1:]):
        return None
    return table(["T, N, C, L", *(titles[program] for program in programs)], rows)


def first_with(results, key):
    return next((line[key] for line in results.values() if line.get(key)), None)


def copy_of(run, ours):
    """Returns PyTorch's copy, if it ran on the same adapter as ctc-wgpu."""
    copy = run.get("copy")
    adapter = first_with(run["programs"][ours], "adapter") or ""
    return copy if copy and (copy["device"] in adapter or adapter and adapter in copy["device"]) else None


def fastest_copy(run, ours):
    """Returns the larger of both rates of copying in GB/s, and a sentence about them."""
    rates = {"our own buffer copy": first_with(run["programs"][ours], "copy_gb_per_s")}
    if copy := copy_of(run, ours):
        rates[f"PyTorch's `copy_` of {mebibytes(copy['bytes'])} MiB"] = copy["copy_gb_per_s"]
    rates = {name: rate for name, rate in rates.items() if rate}
    if not rates:
        return None, ""
    listed = " and ".join(f"{name} {rate_of(rate)} GB/s" for name, rate in rates.items())
    counts = f"; the larger counts, {max(rates, key=rates.get)}" if len(rates) > 1 else ""
    other = run["copy"]["device"] if run.get("copy") and not copy else None
    elsewhere = f" PyTorch ran on another device, {other}." if other else ""
    return max(rates.values()), f"Copy rate, reads and writes both counted: {listed}{counts}.{elsewhere}"


def rate_of(gigabytes):
    return f"{gigabytes:,.0f}" if gigabytes >= 10 else f"{gigabytes:.2f}"


def arrays(shape):
    """Returns the bytes of logits and gradient."""
    frames, items, classes, _ = map(int, shape.split(","))
    return 2 * 4 * frames * items * classes


def table_of_cache(run, ours):
    rate, sentence = fastest_copy(run, ours)
    copy = copy_of(run, ours)
    l2_bytes = copy and copy.get("l2_bytes")
    rows = []
    for shape, line in run["programs"][ours].items():
        workspace = line.get("workspace_bytes")
        total = arrays(shape) + (workspace or 0)
        fits = "?" if not l2_bytes else "yes" if total <= l2_bytes else "no"
        moved = line.get("gb_per_s")
        share = percent(moved / rate) if moved and rate else "–"
        rows.append(
            [
                named(shape),
                mebibytes(arrays(shape)),
                mebibytes(workspace) if workspace else "–",
                fits,
                rate_of(moved) if moved else "–",
                share,
            ]
        )
    header = ["T, N, C, L", "logits and gradient, MiB", "workspace, MiB", "fit L2", "GB/s", "of copying"]
    size = f"The L2 cache has {mebibytes(l2_bytes)} MiB" if l2_bytes else "The size of the L2 cache is unknown"
    return (
        f"{size}. A batch that fits it stays there from step to step, for every program: its time does not depend on the "
        f"memory's bandwidth, and its share of copying may exceed 100 %. {sentence}\n\n{table(header, rows)}"
    )


def lengths(run, programs, titles):
    """Returns one line per program that was called with the lengths on the CPU and on the GPU."""
    lines = []
    for program in programs:
        places = {}
        for shape, line in run["programs"][program].items():
            if "lengths_on" in line:
                places.setdefault(line["lengths_on"], []).append(named(shape))
        if len(places) == 1:
            lines.append(f"- {titles[program]}, lengths on: {next(iter(places))}")
        elif places:
            each = "; ".join(f"{place} ({' / '.join(shapes)})" for place, shapes in places.items())
            lines.append(f"- {titles[program]}, lengths on: {each}")
    head = "The lengths were on the CPU and on the GPU in turn, and each figure is that of the faster way:\n\n"
    return head + "\n".join(lines) if lines else ""


def without_kernels(run, programs, titles):
    lines = []
    for program in programs:
        reasons = {line["no_kernels"]: shape for shape, line in run["programs"][program].items() if "no_kernels" in line}
        lines += [f"- {titles[program]}: {reason} (at {named(shape)})" for reason, shape in reasons.items()]
    return "No time of the kernels alone:\n\n" + "\n".join(lines) if lines else ""


def section(run, titles):
    """Returns the paragraphs of all programs that ran on a GPU, or none without such figures."""
    programs = [name for name, results in run["programs"].items() if on_gpu(results)]
    if not programs or not programs[0].startswith("ctc-wgpu"):
        return []
    parts = ["## On the GPU", "In ms, and how many times as long as the first column the others take."]
    for name, explanation in FIGURES.items():
        made = table_of(run, name, programs, titles)
        if made:
            parts += [explanation, made]
    parts += [lengths(run, programs, titles), without_kernels(run, programs, titles)]
    return parts + [table_of_cache(run, programs[0])]
