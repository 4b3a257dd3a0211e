"""Makes the tables of `model.py`, as text and as a page.

Every line of a table is marked as an estimate.
"""

from model_stages import STAGES
from report import named, table

NOTES = "## Notes"


def us(value):
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def span(low, high, show=us):
    """Formats a range, or one number if both ends print alike."""
    return show(low) if show(low) == show(high) else f"{show(low)}–{show(high)}"


def cells(row):
    """Returns the cells of one shape: name, stages, starts, sum, and the figures from the sum."""
    shown = [named(",".join(map(str, row["shape"])))]
    for name in STAGES:
        stage = row["stages"].get(name)
        shown.append(us(stage.us) if stage else "–")
    shown.append(us(row["starts_us"]))
    if row["missing"]:
        return [*shown, *["–"] * 5]
    return [
        *shown,
        us(row["sum_us"]),
        f"{row['us_per_frame']:.2f}",
        f"{100 * row['copy_share']:.0f} %",
        span(*row["pytorch_us"]),
        span(*row["ratio"], lambda ratio: f"{ratio:.1f}"),
    ]


HEADER = ["T, N, C, L", *STAGES, "starts", "sum", "µs/frame", "of copying", "PyTorch", "ratio"]


def text(rows):
    """Returns the table for a terminal."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    shown = ["estimate  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
    for row in rows:
        for name, reason in row["missing"].items():
            shown.append(f"estimate  {', '.join(map(str, row['shape']))}: none for {name}: {reason}")
    return "\n".join(shown)


def labelled(header, rows):
    """Returns a table whose rows begin with the word `estimate`."""
    return table(["", *header], [["estimate", *row] for row in rows])


def bounds_table(rows):
    """Returns a table of the bound of each stage."""
    shown = []
    for row in rows:
        stages = [row["stages"].get(name) for name in STAGES]
        shown.append([cells(row)[0], *(stage.bound if stage else "–" for stage in stages)])
    return labelled(["T, N, C, L", *STAGES], shown)


def earlier_table(rows, earlier):
    """Returns a table of each stage with the earlier estimate in parentheses."""
    shown = []
    for row in rows:
        before = earlier.get(",".join(map(str, row["shape"])))
        if not before:
            continue
        line = [cells(row)[0]]
        for name, old in zip(earlier["stages"], before):
            stage = row["stages"].get(name)
            now = us(row["starts_us"]) if name == "gaps" else us(stage.us) if stage else "–"
            line.append(f"{now} ({span(*old) if isinstance(old, list) else us(old)})")
        shown.append(line)
    return labelled(["T, N, C, L", *earlier["stages"]], shown)


def plain(value):
    """Formats a constant's value."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    return span(*value, str) if isinstance(value, list) else str(value)


def constants_table(described):
    """Returns a table of all constants with their kinds and sources."""
    groups = {f"{name}: ": card for name, card in described["cards"].items()}
    groups[""] = described["sm"] | described["calibration"]
    groups["PyTorch: "] = described["pytorch"]
    rows = []
    for prefix, constants in groups.items():
        for name, constant in constants.items():
            if isinstance(constant, dict):
                value = constant["value"]
                rows.append([f"{prefix}{name}", plain(value), constant["kind"], constant["source"]])
    return table(["constant", "value", "kind", "source"], rows).replace("---:", "---")


def write(page, source, data, described, model, every):
    """Writes the page. Its text from `## Notes` on was written by hand and is kept."""
    names = ", ".join(described["cards"][card]["name"] for card in every)
    parts = [
        f"# Estimates of the time by stage on {names}: nothing here was measured, except the constants that are marked so",
        f"Arithmetic from what NVIDIA's compiler makes of the kernels (`{source.name}`, commit {data['commit']}) and from the "
        "constants below (`benches/model_cards.json`), made by "
        f"`python3 benches/model.py benches/results/{source.name} --page benches/results/{page.name}`.",
        "Times are µs for the loss and its gradient. A range comes from PyTorch's published times. "
        "`starts` are the starts of all dispatches and the gaps between those that wait for each other; the other "
        "columns do not contain them. `label_links` runs beside `sweep inward`, and `join` beside `sweep outward`; the "
        "sum has the longer one of each. "
        "`of copying` is the reads of the logits, two or, if `softmax_stats` writes the gradient, one, and one write "
        "of the gradient as a share of "
        "the card's copy rate. `PyTorch` is the sum of its native kernels, `ratio` that sum divided by ours.",
    ]
    for card, rows in every.items():
        parts += [f"## {card}", labelled(HEADER, map(cells, rows))]
        reasons = {reason for row in rows for reason in row["missing"].values()}
        parts += [f"- No estimate: {reason}." for reason in sorted(reasons)]
    earlier = model["earlier_estimates"]
    rows = every[earlier["card"]]
    parts += [
        f"## The bound of each stage on {earlier['card']}",
        "`latency`: the cycles of one warp alone. `issue`: all instructions over all schedulers. `bytes`: memory or L2.",
        bounds_table(rows),
        f"## Earlier estimates for {earlier['card']}",
        f"In parentheses: {described['earlier_estimates']['source']}.",
        earlier_table(rows, earlier),
        "## Constants",
        constants_table(described),
    ]
    kept = ""
    if page.exists():
        before, mark, after = page.read_text().partition(f"\n{NOTES}\n")
        kept = f"\n{NOTES}\n{after}" if mark else ""
    page.write_text("\n\n".join(parts) + "\n" + kept)
