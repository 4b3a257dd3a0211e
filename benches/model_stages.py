"""The arithmetic of `model.py`: what one dispatch of a printed plan costs on a card. Everything here is an estimate."""

import math
import re
from dataclasses import dataclass, field

STAGES = ["check_labels", "label_links", "softmax_stats", "sweep inward", "join", "sweep outward", "grad"]
WARP = 32
# Frames of a block of the sweeps; bytes of a sector of the caches.
BLOCK = 4
SECTOR = 32
# How far the cycles of a round may lie from those that a correction was found for.
SAME_KERNEL = 0.1


class NoEstimate(Exception):
    """The inputs do not fit the model."""


@dataclass
class Dispatch:
    """One line of a printed plan: dispatches of one label."""

    label: str
    times: int
    grid: tuple
    rounds: int
    kernel: str
    subgroups: bool
    constants: dict

    @property
    def lanes(self):
        return self.constants["LANES"]

    @property
    def workgroups(self):
        return math.prod(self.grid)

    @property
    def warps(self):
        return math.ceil(self.lanes * self.constants.get("ROWS", 1) / WARP)


HEADER = re.compile(r"(\w+) of N = (\d+), T = (\d+), C = (\d+), Lmax = (\d+):")
LINE = re.compile(r"  (\S.*?) +(\d+) × (\d+) × (\d+) × (\d+), (\d+) iterations\b(.*)")


def parse_plan(text):
    """The goal, the shape (T, N, C, L) and the dispatches of a plan, as `Plan` prints them."""
    lines = text.splitlines()
    header = HEADER.match(lines[0] if lines else "")
    if not header:
        raise NoEstimate(f"not a printed plan: {text[:60]!r}")
    goal, (items, frames, classes, labels) = header[1], map(int, header.groups()[1:])
    dispatches = []
    for line in lines[1:]:
        match = LINE.match(line)
        if not match:
            continue
        label, *numbers, rest = match.groups()
        times, x, y, z, rounds = map(int, numbers)
        kernel = re.search(r"\bby (\w+)", rest)
        constants = {name: int(value) for name, value in re.findall(r"\b([A-Z][A-Z_]*) (\d+)", rest)}
        dispatches.append(
            Dispatch(
                label,
                times,
                (x, y, z),
                rounds,
                kernel[1] if kernel else label.split()[0],
                "with subgroups" in rest,
                constants,
            )
        )
    return goal, (frames, items, classes, labels), dispatches


def seeded_labels(shape, seed=7):
    """The labels of the benchmarks' batch, one list per item: those of `peers/inputs.py`, without numpy."""
    frames, items, classes, labels = shape
    mask = (1 << 64) - 1

    def draw(index):
        z = ((index + 1) * 0x9E3779B97F4A7C15 + seed) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    first = 4 * frames * items * classes
    return [
        [(draw(first + item * labels + i) >> 33) % (classes - 1) + 1 for i in range(labels)] for item in range(items)
    ]


def searches(labels):
    """For each label, the steps of chain's three searches: to the next equal label, to the one after, to the one before."""
    places = {}
    for i, own in enumerate(labels):
        places.setdefault(own, []).append(i)
    steps, end, seen = [], len(labels), {}
    for i, own in enumerate(labels):
        nth = seen[own] = seen.get(own, -1) + 1
        equal = [-1, *places[own], end, end]
        before, next_, after = equal[nth], equal[nth + 2], equal[nth + 3]
        steps.append((next_ - i - 1, max(after - next_ - 1, 0), i - before - 1))
    return steps


def search_rounds(labels, lanes):
    """The rounds of chain's three searches in the slowest warp of an item; a warp goes on until its last lane is done."""
    steps = searches(labels)
    totals = []
    for warp in range(math.ceil(lanes / WARP)):
        total = [0, 0, 0]
        for first in range(warp * WARP, len(labels), lanes):
            lanes_of_warp = steps[first : min(first + WARP, first - warp * WARP + lanes)]
            total = [t + max(column) for t, column in zip(total, zip(*lanes_of_warp))]
        totals.append(total)
    return max(totals, key=sum)


def link_rounds(labels, classes, lanes):
    """The rounds of grad's loop over the labels of a class: in the slowest warp of an item, and on average over its warps."""
    counts = [0] * classes
    for label in labels:
        counts[label] += 1
    width = min(lanes, WARP)
    totals = [0] * math.ceil(lanes / WARP)
    for first in range(0, classes, width):
        totals[first % lanes // WARP] += max(counts[first : first + width])
    return max(totals), sum(totals) / len(totals)


@dataclass
class Loop:
    """A loop of a shader: its rounds in the slowest warp and, for throughput, in the average warp."""

    name: str
    rounds: float
    average: float = None
    inner: int = 0
    fold: bool = False

    def __post_init__(self):
        if self.average is None:
            self.average = self.rounds


@dataclass
class Work:
    """What a dispatch does: its loops, an inner one before the one around it; loads outside loops that wait for each other;
    bytes of the batch, which may lie beyond the L2 cache, and of the workspace, which lies in it."""

    loops: list
    loads: int
    batch: float
    workspace: float
    searches: list = field(default_factory=list)


def work_of(dispatch, shape):
    """Follows `shaders/*.wgsl`: change it together with them."""
    frames, items, classes, labels = shape
    lanes = dispatch.lanes
    width = min(frames, labels)
    quads = width // 4 + 1
    logits = 4 * frames * items * classes
    tops = 8 * frames * items
    # A float per state: half of a kept row, which every fourth frame has, or the weights of one.
    states = 16 * quads * frames * items
    # A gathered entry moves a sector.
    entries = min(logits, SECTOR * frames * items * (4 * quads + 1))
    blocks = math.ceil((frames - frames // 2) / BLOCK)
    folds = int(math.log2(lanes))
    name = dispatch.label
    if name == "check_labels":
        return Work([Loop("check_labels", math.ceil(labels / lanes))], 2, 4 * items * labels, 8 * items * width)
    if name == "label_links":
        rounds = [search_rounds(own, lanes) for own in seeded_labels(shape)]
        slowest = max(rounds, key=sum)
        average = [sum(column) / items for column in zip(*rounds)]
        found = [Loop(n, s, a) for n, s, a in zip(["next", "after", "before"], slowest, average)]
        outer = Loop("check_labels", math.ceil(width / lanes), inner=3)
        clear = Loop("clear", math.ceil(classes / lanes))
        return Work([clear, *found, outer], 1, 0, 4 * items * classes + 16 * items * width, found)
    if name == "softmax_stats":
        once = dispatch.constants.get("ROW_IN_REGISTERS")
        rounds = math.ceil(classes / (4 * lanes))
        maximum = [] if once else [Loop("maximum", rounds)]
        total = [] if once else [Loop("sum", rounds)]
        loops = [*maximum, Loop("fold of maxima", folds, fold=True), *total, Loop("fold of sums", folds, fold=True)]
        if dispatch.constants.get("WRITE_GATHERED"):
            loops.append(Loop("gather", math.ceil((width + 1) / lanes)))
        return Work(loops, 2 if once else 1, logits, tops)
    if name == "sweep inward":
        return Work([Loop("blocks", blocks)], 3, entries, states + tops)
    if name == "sweep outward":
        # The folds are for items whose exponents are too large to be exact: no item of the benchmark enters them.
        inexact = [] if dispatch.subgroups else [Loop("fold of exponents", 0) for _ in range(BLOCK)]
        # It reads the rows and writes the weights and, for each quad, their sums.
        return Work([*inexact, Loop("blocks", blocks, inner=len(inexact))], 3, entries, 2.5 * states + tops)
    if name == "join":
        loops = [
            Loop("quads", math.ceil(quads / lanes)),
            Loop("frames", math.ceil(frames / (4 * lanes))),
            Loop("fold", folds, fold=True),
        ]
        return Work(loops, 2, 0, tops + 128 * quads * items)
    if name == "grad":
        rounds = [link_rounds(own, classes, lanes) for own in seeded_labels(shape)]
        loops = [
            Loop("weigh", math.ceil(quads / lanes)),
            Loop("fold", folds, fold=True),
            Loop("no gradient", 0),
            Loop("labels of a class", max(r[0] for r in rounds), sum(r[1] for r in rounds) / items),
            Loop("classes", math.ceil(classes / lanes), inner=1),
        ]
        # Four frames share a reading of the classes' first labels.
        return Work(loops, 2, 2 * logits, logits / 4 + 1.5 * states + tops)
    raise NoEstimate(f"stage `{name}` is not modelled")


def matched(loops, found, kernel):
    """Pairs each loop of the shader with the compiled one; both have inner loops first. The compiler may unroll the folds."""
    for expected in (loops, [loop for loop in loops if not loop.fold]):
        pairs = list(zip(expected, found))
        if len(expected) == len(found) and all(code.get("inner", loop.inner) == loop.inner for loop, code in pairs):
            return pairs
    names = ", ".join(loop.name for loop in loops)
    raise NoEstimate(f"`{kernel}` compiled to {len(found)} loops; the model knows {len(loops)}: {names}")


def slots(instructions, pipes, pipe_cycles):
    """Cycles that a scheduler is busy with these instructions of one warp: the busiest pipe, or one a cycle."""
    return max([instructions, *(count * pipe_cycles.get(pipe, 1) for pipe, count in pipes.items())])


@dataclass
class Cost:
    """One warp's cycles alone and its issue slots, of a whole dispatch."""

    alone: float
    issue: float
    search: float
    search_loads: float


def warp_cost(work, compiled, dispatch, model):
    """Plays one warp through a dispatch."""
    # Of a round, what the simulation plays although the benchmark's items branch around it.
    around = model["branched_around"].get(dispatch.label, {}).get("subgroups" if dispatch.subgroups else "barriers")
    calibration = model["calibration"]
    pipe_cycles = model["sm"]["pipe_cycles"]
    alone = issue = search = search_loads = 0.0
    straight = compiled["code_bytes"] / 16
    pairs = matched(work.loops, compiled["loops"], dispatch.kernel)
    for at, (loop, code) in enumerate(pairs):
        inner = [pairs[before][1] for before in range(at - loop.inner, at)]
        own = code["instructions"] - sum(one["instructions"] for one in inner)
        cycles = max(code["cycles"] - sum(one["cycles"] for one in inner), own)
        pipes = {
            pipe: count - sum(one["pipes"].get(pipe, 0) for one in inner) for pipe, count in code["pipes"].items()
        }
        straight -= own
        if loop.name == "blocks" and around and abs(code["cycles"] / around["round"] - 1) < SAME_KERNEL:
            cycles, own = cycles - around["cycles"], own - around["instructions"]
        issue += loop.average * slots(own, pipes, pipe_cycles)
        if loop in work.searches:
            search += loop.rounds * cycles
            search_loads += loop.rounds
        else:
            alone += loop.rounds * cycles
    straight = max(straight, 0)
    alone += straight * calibration["straight_cycles"] + work.loads * calibration["l2_cycles"]
    return Cost(alone, issue + straight, search, search_loads)


@dataclass
class Stage:
    """The estimate of one dispatch in microseconds: what it is bound by, and each of the bounds."""

    us: float
    low: float
    high: float
    bound: str
    bounds: dict
    beyond_l2: bool


def estimate(dispatch, shape, compiled, card, model):
    """The time of a dispatch: the longest of one warp's path, all instructions over all schedulers, and the bytes."""
    calibration, sm = model["calibration"], model["sm"]
    if dispatch.times != 1:
        raise NoEstimate(f"`{dispatch.label}` is cut into {dispatch.times} dispatches, which is not modelled")
    work = work_of(dispatch, shape)
    warp = warp_cost(work, compiled, dispatch, model)
    sms, schedulers = card["sms"], sm["schedulers"]
    per_us = card["clock_ghz"] * 1e3
    # Registers are given to a warp in units of 256.
    of_warp = math.ceil(compiled["registers"] * WARP / 256) * 256
    resident = min(
        card["workgroups_per_sm"],
        card["warps_per_sm"] // dispatch.warps,
        sm["registers"] // (of_warp * dispatch.warps),
    )
    if resident < 1:
        raise NoEstimate(f"a workgroup of `{dispatch.kernel}` does not fit an SM of {card['name']}")
    waves = math.ceil(dispatch.workgroups / (sms * resident))
    busiest = math.ceil(math.ceil(dispatch.workgroups / sms) * dispatch.warps / schedulers)
    issue = busiest * warp.issue / calibration["issue_efficiency"] / per_us
    frames, items, classes, _ = shape
    # The logits and their gradient.
    beyond_l2 = 8 * frames * items * classes > card["l2_mib"] * 2**20
    moved = (work.batch + work.workspace) / card["l2_gb_per_s"] / 1e3
    if beyond_l2:
        moved = max(moved, work.batch / card["copy_gb_per_s"] / 1e3)

    def total(miss_share):
        saved = (1 - miss_share) * (calibration["l2_cycles"] - calibration["l1_cycles"]) * warp.search_loads
        alone = waves * calibration["round_factor"] * (warp.alone + warp.search - saved) / per_us
        bounds = {"latency": alone, "issue": issue, "bytes": moved}
        bound = max(bounds, key=bounds.get)
        return calibration["start_us"] + bounds[bound], bound, bounds

    us, bound, bounds = total(calibration["search_l2_share"])
    return Stage(us, total(0)[0], total(1)[0], bound, bounds, beyond_l2)
