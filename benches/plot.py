"""Plots a run as SVG, without a library.

Each shape is a row and each program a mark; the time is on a logarithmic axis.
"""

import math
from xml.sax.saxutils import escape

# Okabe and Ito's colours, which colour-blind readers can distinguish, and one shape each for black
# prints. Our marks are larger.
STYLES = {
    "ours cpu": ("#0072B2", "circle"),
    "ours gpu": ("#D55E00", "diamond"),
    "torch": ("#E69F00", "square"),
    "torch-cuda": ("#E69F00", "down"),
    "torch-cudnn": ("#F0E442", "square"),
    "flag-gems": ("#F0E442", "up"),
    "optax": ("#009E73", "up"),
    "optax-cuda": ("#009E73", "square"),
    "tensorflow": ("#CC79A7", "down"),
    "keras": ("#56B4E9", "cross"),
    "burn": ("#8C8C8C", "plus"),
}

WIDTH, LEFT, RIGHT, ROW, EDGE = 860, 218, 28, 46, 20

# Viewers may follow the system's theme, so the background changes together with the foreground.
CSS = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; } .ours { font-weight: 600; } .small { font-size: 12px; fill: #59636e; }
.ground { fill: #ffffff; stroke: #d1d9e0; } .grid { stroke: #d1d9e0; } .fine { stroke: #eff2f5; }
.span { stroke: #b7c0ca; stroke-width: 2; } .mark { stroke: #ffffff; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; } .small { fill: #9198a1; } .ground { fill: #0d1117; stroke: #3d444d; } .grid { stroke: #3d444d; }
.fine { stroke: #1c2128; } .span { stroke: #59636e; } .mark { stroke: #0d1117; }
}
"""


def mark(style, x, y, ours):
    colour, form = STYLES[style]
    r = 7.5 if ours else 5.5
    attributes = f'class="mark" fill="{colour}"'
    if form == "circle":
        return f'<circle {attributes} cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'
    if form in ("cross", "plus"):
        # Four arms, a third of the width thick.
        a, b = r * 1.15, r * 0.42
        points = [(-a, -b), (-b, -b), (-b, -a), (b, -a), (b, -b), (a, -b)]
        points += [(-px, -py) for px, py in points]
        if form == "cross":
            half = math.sqrt(0.5)
            points = [((px - py) * half, (px + py) * half) for px, py in points]
    else:
        points = {
            "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
            "diamond": [(0, -r * 1.3), (r * 1.15, 0), (0, r * 1.3), (-r * 1.15, 0)],
            "up": [(0, -r * 1.25), (r * 1.2, r * 0.9), (-r * 1.2, r * 0.9)],
            "down": [(0, r * 1.25), (r * 1.2, -r * 0.9), (-r * 1.2, -r * 0.9)],
        }[form]
    path = " ".join(f"{x + px:.1f},{y + py:.1f}" for px, py in points)
    return f'<polygon {attributes} points="{path}"/>'


def label(ms):
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms" if ms >= 1 else f"{ms * 1000:g} µs"


def legend(programs, out, y):
    """Draws the programs' names in lines, and returns the position of the next line."""
    x = EDGE + 8
    for style, title in programs:
        ours = style.startswith("ours")
        # The width of the text is estimated generously, since no font is available.
        width = 36 + (8.4 if ours else 7.4) * len(title)
        if x + width > WIDTH - EDGE:
            x, y = EDGE + 8, y + 24
        out.append(mark(style, x, y, ours))
        kind = "ours" if ours else "peer"
        out.append(f'<text class="{kind}" x="{x + 13}" y="{y + 4.5}">{escape(title)}</text>')
        x += width
    return y + 24


def placed(row):
    """Returns (style, x, dy) of a row's marks.

    A mark is on the line if there is room, else above or below it. Our marks are placed first.
    """
    taken = []
    for style, x in sorted(row.items(), key=lambda entry: (not entry[0].startswith("ours"), entry[1])):
        free = [dy for dy in (0, -13, 13) if all(dy != other or abs(x - at) > 14 for at, other in taken)]
        taken.append((x, free[0] if free else 0))
        yield style, *taken[-1]


def svg(title, note, programs, rows):
    """Returns the SVG.

    `programs` are pairs (style, title) in order; `rows` are pairs (shape's name, {style: ms}), from
    the top down.
    """
    out = []
    y = legend(programs, out, 76)
    top = y + 22
    bottom = top + ROW * len(rows)
    times = [ms for _, row in rows for ms in row.values()]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))

    def at(ms):
        return LEFT + (math.log10(ms) - low) / max(high - low, 1) * (WIDTH - LEFT - RIGHT)

    lines = []
    for decade in range(low, high + 1):
        for digit in range(1, 10):
            ms = digit * 10**decade
            if decade == high and digit > 1:
                break
            kind = "grid" if digit == 1 else "fine"
            line = f'<line class="{kind}" x1="{at(ms):.1f}" x2="{at(ms):.1f}" y1="{top}" y2="{bottom}"/>'
            # Fine lines lie below the others.
            lines.append(line) if digit == 1 else lines.insert(0, line)
        x = at(10**decade)
        lines.append(f'<text class="small" text-anchor="middle" x="{x:.1f}" y="{top - 8}">{label(10**decade)}</text>')
    for number, (name, row) in enumerate(rows):
        y = top + ROW * (number + 0.5)
        lines.append(f'<text x="{EDGE}" y="{y + 4.5}">{escape(name)}</text>')
        if row:
            ends = at(min(row.values())), at(max(row.values()))
            lines.append(f'<line class="span" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}"/>')
        for style, x, dy in placed({style: at(ms) for style, ms in row.items()}):
            lines.append(mark(style, x, y + dy, style.startswith("ours")))
    height = bottom + 18
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title><style>{CSS}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="title" x="{EDGE}" y="30">{escape(title)}</text>',
        f'<text class="small" x="{EDGE}" y="50">{escape(note)}</text>',
    ]
    return "\n".join([*head, *lines, *out, "</svg>\n"])
