#!/usr/bin/env python3
"""Estimates the time of each stage on a GPU from the code that its compiler makes of the kernels.

    python3 benches/model.py                        # the latest compilers' results, H100
    python3 benches/model.py --card "RTX 4090" --json
    python3 benches/model.py --measured bench.json  # compares with `ctc-wgpu bench --json --stages`
    python3 benches/model.py --page benches/results/DATE-model.md

No time here is measured. The input holds the printed plans of the seven shapes and, for each
pipeline, the compiled loops with their simulated cycles (`benches/compilers.sh`). The constants of
cards and of the calibration are in `model_cards.json`, each with its source; `model_stages.py` has
the arithmetic.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import median

import model_page
from model_stages import NoEstimate, estimate, parse_plan
from stage_names import current

HERE = Path(__file__).resolve().parent
CONSTANTS = HERE / "model_cards.json"
RESULTS = HERE / "results"

# The range of each constant that a measurement can set. A fit outside it shows that the model or
# the measurement is wrong, not that the constant has this value.
RANGES = {
    "start_us": (0, 20),
    "gap_us": (0, 20),
    "round_factor": (0.5, 4),
    "issue_efficiency": (0.1, 1),
}
# Pairs of stages of which the second begins without waiting for the first, if they follow each
# other. Their time is that of the longer one.
OVERLAPPED = [("sweep inward", "label_links"), ("sweep outward", "join")]

# The range of a rate, as a share of the card's own. A copy rate in `model_cards.json` is 90 % of
# the published bandwidth, which no copy exceeds.
RATES = {"copy_gb_per_s": (0.25, 1.15), "l2_gb_per_s": (0.25, 2)}


def values(node):
    """Returns the constants without their kinds and sources."""
    if isinstance(node, dict):
        return node["value"] if "value" in node else {name: values(inner) for name, inner in node.items()}
    return node


def compiled_for(pipeline, card):
    """Returns the code of a pipeline by the first of the card's compilers."""
    for compiler in card["compilers"]:
        compiled = pipeline.get("compiled", {}).get(compiler)
        if compiled and "loops" in compiled:
            return compiled
    raise NoEstimate(f"pipeline `{pipeline['name']}` was not compiled by {' or '.join(card['compilers'])}")


def pytorch_us(shape, card, model):
    """Returns the time of PyTorch's native kernels by published figures.

    It adds the recursion's steps, the small kernels and the passes over the logits.
    """
    frames, items, classes, _ = shape
    torch = model["pytorch"]
    tensor = 4 * frames * items * classes
    in_cache = 2 * tensor <= card["l2_mib"] * 2**20
    rate = card["l2_gb_per_s"] if in_cache else card["copy_gb_per_s"]
    others = torch["small_kernels_us"] + torch["passes"] * tensor / rate / 1e3
    return [torch["steps_per_frame"] * frames * step + others for step in torch["step_us"]]


def row_of(plan, pipelines, card, model):
    """Returns the estimate of one shape's plan."""
    _, shape, dispatches = parse_plan(plan["text"])
    stages, missing = {}, {}
    for dispatch, name in zip(dispatches, plan["pipelines"]):
        try:
            if name not in pipelines:
                raise NoEstimate(f"pipeline `{name}` is not in the file")
            stages[dispatch.label] = estimate(dispatch, shape, compiled_for(pipelines[name], card), card, model)
        except NoEstimate as reason:
            missing[dispatch.label] = str(reason)
    labels = [dispatch.label for dispatch in dispatches]
    overlapped = [pair for pair in zip(labels, labels[1:]) if pair in OVERLAPPED]
    calibration = model["calibration"]
    waiting = sum(dispatch.times for dispatch in dispatches) - len(overlapped)
    starts = calibration["start_us"] + (waiting - 1) * calibration["gap_us"]
    row = {"shape": list(shape), "stages": stages, "starts_us": starts, "missing": missing}
    if not missing:
        frames, items, classes, _ = shape
        hidden = sum(min(stages[name].us for name in pair) for pair in overlapped)
        us = starts + sum(stage.us for stage in stages.values()) - hidden
        torch = pytorch_us(shape, card, model)
        # Each row of the logits is read twice, or once if `softmax_stats` writes the gradient.
        once = any(dispatch.constants.get("WRITE_GRADIENT") for dispatch in dispatches)
        moved = (8 if once else 12) * frames * items * classes
        row |= {
            "sum_us": us,
            "us_per_frame": us / frames,
            "copy_share": moved / us / 1e3 / card["copy_gb_per_s"],
            "pytorch_us": torch,
            "ratio": [torch_us / us for torch_us in torch],
        }
    return row


def task_of(plan):
    """Returns what a plan computes; earlier records call it a goal."""
    return plan.get("task", plan.get("goal"))


def rows_of(data, card, model):
    """Returns the estimates of all plans for loss and gradient on adapters like the card."""
    pipelines = {pipeline["name"]: pipeline for pipeline in data["pipelines"]}
    plans = [p for p in data["plans"] if p["adapter"] == card["adapter"] and task_of(p) == "LossAndGrad"]
    if not plans:
        raise NoEstimate(f"the file has no plan of LossAndGrad for the adapter `{card['adapter']}`")
    return [row_of(plan, pipelines, card, model) for plan in plans]


def as_json(row):
    stages = {
        name: {"estimate_us": stage.us, "bound": stage.bound, "bounds": stage.bounds}
        for name, stage in row["stages"].items()
    }
    return {"kind": "estimate", **row, "stages": stages}


def measurements(node):
    """Returns all objects with a shape and stages' times, at any depth of a JSON file."""
    if isinstance(node, dict) and "stages_us" in node and "shape" in node:
        return [node | {"stages_us": {current(name): us for name, us in node["stages_us"].items()}}]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return [one for each in inner for one in measurements(each)]


def timed_us(stage, calibration):
    """Returns the estimate for a stage between two time stamps, as `--stages` measures it."""
    return calibration["start_us"] + calibration["gap_us"] + stage.us


def fit(name, stage, measured, card, calibration):
    """Returns a constant that the residual of a stage determines, and its value.

    With this value the estimate equals the measurement.
    """
    residual = measured - timed_us(stage, calibration)
    if name in ("check_labels", "join"):
        return "gap_us", calibration["gap_us"] + residual
    scale = 1 + residual / stage.us
    if scale <= 0:
        return None
    if stage.bound == "latency":
        return "round_factor", calibration["round_factor"] * scale
    if stage.bound == "issue":
        return "issue_efficiency", calibration["issue_efficiency"] / scale
    rate = "copy_gb_per_s" if stage.beyond_l2 else "l2_gb_per_s"
    return rate, card[rate] / scale


def is_card(adapter, name):
    """Returns whether an adapter's name contains a card's as whole words, in any case.

    `NVIDIA H100 80GB HBM3` is an H100; a GH200 is not an H200.
    """
    words = re.findall(r"[a-z0-9]+", name.lower())
    pattern = rf"(?<![a-z0-9]){'[^a-z0-9]*'.join(words)}(?![a-z0-9])"
    return re.search(pattern, adapter.lower()) is not None


def other_adapters(measured, name, card):
    """Warns of measurements from adapters that are not the card."""
    adapters = {one.get("adapter") or "an adapter without a name" for one in measured}
    return [
        f"estimate  warning: measured on {adapter}, not on {card['name']}: do not take constants from it"
        for adapter in sorted(adapters)
        if not is_card(adapter, name)
    ]


def range_of(constant, now):
    """Returns the range that a fit of a constant must lie in."""
    return RANGES[constant] if constant in RANGES else tuple(share * now for share in RATES[constant])


def recommended(constant, now, fitted):
    """Returns the line of one constant: the median of the fits in its range, then all fits."""
    least, most = range_of(constant, now)
    inside = [value for _, value in fitted if least <= value <= most]
    middle = f"median of fits {median(inside):.4g}" if inside else "no fit inside its range"
    each = [
        f"{value:.4g} ({where})" + ("" if least <= value <= most else " outside its range") for where, value in fitted
    ]
    if len(inside) < len(fitted):
        each.append(f"its range is {least:.4g} to {most:.4g}")
    return f"estimate  {constant}: now {now:.4g}, {middle}: {'; '.join(each)}"


def compare(rows, measured, card, calibration):
    """Returns each stage's estimate beside the measurement, and the fit of each constant."""
    lines, found = [], {}

    def note(constant, shape, value):
        found.setdefault(constant, []).append((shape, value))

    for row in rows:
        same = [one for one in measured if list(one["shape"]) == row["shape"]]
        shape = ", ".join(map(str, row["shape"]))
        if not same:
            lines.append(f"estimate  {shape}: not in the measured file")
            continue
        times = {}
        for copying in {one["copy_gb_per_s"] for one in same if "copy_gb_per_s" in one}:
            note("copy_gb_per_s", f"{shape} copying", copying)
        for name, stage in row["stages"].items():
            all_times = [one["stages_us"][name] for one in same if name in one["stages_us"]]
            if not all_times:
                continue
            times[name] = median(all_times)
            timed = timed_us(stage, calibration)
            lines.append(
                f"estimate  {shape}  {name:<9} {timed:9.1f} µs, measured {times[name]:9.1f} µs, "
                f"measured / estimate {times[name] / timed:5.2f}, bound by {stage.bound}"
            )
            fitted = fit(name, stage, times[name], card, calibration)
            if fitted:
                note(fitted[0], f"{shape} {name}", fitted[1])
        wholes = [1e3 * one["median_ms"] for one in same if "median_ms" in one]
        if wholes and not row["missing"] and len(times) == len(row["stages"]):
            # Each stage has time stamps of its own, the whole batch only two.
            stamps = sum(times.values()) - median(wholes)
            estimated = sum(timed_us(stage, calibration) for stage in row["stages"].values()) - row["sum_us"]
            lines.append(f"estimate  {shape}  stamps    {estimated:9.1f} µs, measured {stamps:9.1f} µs")
            note("start_us", shape, calibration["start_us"] + (stamps - estimated) / (len(row["stages"]) - 1))
    constants = {**card, **calibration}
    for constant, fitted in sorted(found.items()):
        lines.append(recommended(constant, constants[constant], fitted))
    return lines


def card_named(name, cards):
    """Returns the card of this name in any case, or the name itself if none matches."""
    return next((card for card in cards if card.lower() == name.lower()), name)


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read {path}: {error}")


def latest():
    found = sorted(RESULTS.glob("*-compilers.json"))
    if not found:
        sys.exit("no benches/results/*-compilers.json: make one with benches/compilers.sh, or name a file")
    return found[-1]


def main():
    described = read(CONSTANTS)
    model = values(described)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("compilers", nargs="?", type=Path, help="the compilers' JSON (default: the latest result)")
    cards = list(model["cards"])
    parser.add_argument("--card", default="H100", type=lambda name: card_named(name, cards), choices=cards)
    parser.add_argument("--json", action="store_true", help="print a list for programs")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="compare with `ctc-wgpu bench --json --stages`")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of all cards")
    args = parser.parse_args()
    path = args.compilers or latest()
    data = read(path)
    card = model["cards"][args.card]
    try:
        if args.page:
            every = {name: rows_of(data, card, model) for name, card in model["cards"].items()}
            model_page.write(args.page, path, data, described, model, every)
            return
        rows = rows_of(data, card, model)
    except NoEstimate as reason:
        sys.exit(f"no estimate: {reason}")
    except (AttributeError, KeyError, TypeError) as error:
        sys.exit(f"{path} is not what `benches/compilers.sh` writes: {type(error).__name__}: {error}")
    if args.measured:
        try:
            measured = measurements(read(args.measured))
            lines = other_adapters(measured, args.card, card)
            lines += compare(rows, measured, card, model["calibration"])
        except (AttributeError, KeyError, TypeError) as error:
            sys.exit(f"{args.measured} is not what `ctc-wgpu bench --json` prints: {type(error).__name__}: {error}")
        print("\n".join(lines))
    elif args.json:
        print(json.dumps([{"card": args.card, **as_json(row)} for row in rows], indent=1))
    else:
        print(f"estimate  {card['name']}, µs, from {path.name}: nothing here was measured, except the constants that are marked so")
        print(model_page.text(rows))


if __name__ == "__main__":
    main()
