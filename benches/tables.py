"""Writes numbers and tables as Markdown."""


def milliseconds(ms):
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def ratio(value):
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×" if value < 100 else f"{value:.0f}×"


def percent(share):
    """Formats a share of 1 in percent, with at least two digits."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %"


def significant(value):
    """Formats a value with at most four significant digits."""
    return f"{float(f'{value:.4g}'):,.10g}"


def table(header, rows):
    head = f"| {' | '.join(header)} |"
    rule = f"| --- |{' ---: |' * (len(header) - 1)}"
    return "\n".join([head, rule, *(f"| {' | '.join(row)} |" for row in rows)])


def named(shape):
    return shape.replace(",", ", ")


def mebibytes(count):
    value = count / 2**20
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
