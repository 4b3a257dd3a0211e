"""The arithmetic of `model.py`: the cost of one dispatch of a printed plan on a card.

Every result is an estimate.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

from stage_names import current

STAGES = ["check_labels", "softmax_stats", "sweep inward", "label_links", "sweep outward", "join", "grad"]
WARP = 32
# Frames per block of the sweeps; bytes per sector of the caches.
BLOCK = 4
SECTOR = 32
# The labels that `label_links` sorts at once.
CHUNK = 512


class NoEstimate(Exception):
    """The inputs do not fit the model."""


@dataclass
class Dispatch:
    """One line of a printed plan: the dispatches of one stage."""

    label: str
    times: int
    grid: tuple
    iterations: int
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


HEADER = re.compile(r"(\w[\w ]*?)(?: of|:) N = (\d+), T = (\d+), C = (\d+), Lmax = (\d+)")
# The stage, its dispatches, the workgroups of each, the loop iterations, the kernel, the constants.
LINE = re.compile(r"  (\S.*?) +(\d+)  (\d+) × (\d+) × (\d+) +(\d+)  by (\w+)(.*)")
# The same in earlier records, which name the kernel only if it is not the stage's first word.
EARLIER_LINE = re.compile(
    r"  (\S.*?) +(\d+) × (\d+) × (\d+) × (\d+), (\d+) (?:iterations|rounds)(?: +by (\w+))?(.*)"
)


def parse_plan(text):
    """Returns the task, the shape (T, N, C, L) and the dispatches of a printed plan."""
    lines = text.splitlines()
    header = HEADER.match(lines[0] if lines else "")
    if not header:
        raise NoEstimate(f"not a printed plan: {text[:60]!r}")
    task, (items, frames, classes, labels) = header[1], map(int, header.groups()[1:])
    dispatches = []
    for line in lines[1:]:
        match = LINE.match(line) or EARLIER_LINE.match(line)
        if not match:
            continue
        label, *numbers, kernel, rest = match.groups()
        times, x, y, z, iterations = map(int, numbers)
        constants = {current(name): int(value) for name, value in re.findall(r"\b([A-Z][A-Z_]*) (\d+)", rest)}
        dispatches.append(
            Dispatch(
                current(label),
                times,
                (x, y, z),
                iterations,
                current(kernel or label.split()[0]),
                "with subgroups" in rest,
                constants,
            )
        )
    return task, (frames, items, classes, labels), dispatches


def seeded_labels(shape, seed=7):
    """Returns the labels of the benchmarks' batch, one list per item.

    They are those of `peers/inputs.py`, computed without numpy.
    """
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


def link_iterations(labels, classes, lanes, of_labels=False):
    """Returns the iterations of the loop over the labels of a class in `grad`.

    Two values: in the slowest warp of an item, and on average over its warps. With `of_labels`, the
    lanes visit the blank and the first label of each class.
    """
    counts = [0] * classes
    for label in labels:
        counts[label] += 1
    if of_labels:
        counts = [0, *(counts[label] if labels.index(label) == at else 0 for at, label in enumerate(labels))]
    width = min(lanes, WARP)
    totals = [0] * math.ceil(lanes / WARP)
    for first in range(0, len(counts), width):
        totals[first % lanes // WARP] += max(counts[first : first + width])
    return max(totals), sum(totals) / len(totals)


def label_sectors(labels):
    """Returns the sectors of a row that hold an entry of the blank or of a label."""
    return len({4 * label // SECTOR for label in [0, *labels]})


@dataclass
class Loop:
    """A loop of a shader: its iterations in the slowest warp and in the average warp.

    `inner` is the number of the loops in it, at any depth.
    """

    name: str
    iterations: float
    average: float = None
    inner: int = 0
    fold: bool = False
    # 0 for alpha, 1 for beta: a warp runs the loops of one direction.
    direction: int = None

    def __post_init__(self):
        if self.average is None:
            self.average = self.iterations


@dataclass
class Work:
    """The work of a dispatch.

    An inner loop comes before the loop around it. `loads` are those outside loops that wait for
    each other. `batch` and `workspace` are bytes: the batch may exceed the L2 cache, the workspace
    fits it.
    """

    loops: list
    loads: int
    batch: float
    workspace: float


def work_of(dispatch, shape):
    """Returns the work of a dispatch. It must match `shaders/*.wgsl`."""
    frames, items, classes, labels = shape
    lanes = dispatch.lanes
    width = min(frames, labels)
    quads = width // 4 + 1
    logits = 4 * frames * items * classes
    tops = 8 * frames * items
    # A float per state: half of a stored row, which every fourth frame has, or the weights of one.
    states = 16 * quads * frames * items
    # The words of the emission table; without it, an entry of the input moves a sector.
    columns = min(classes, width + 1)
    table = dispatch.constants.get("TABLE", 0)
    entries = 4 * columns * frames * items if table else min(logits, SECTOR * frames * items * (4 * quads + 1))
    blocks = math.ceil((frames - frames // 2) / BLOCK)
    folds = int(math.log2(lanes))
    name = dispatch.label
    if name == "check_labels":
        return Work([Loop("labels", math.ceil(labels / lanes))], 2, 4 * items * labels, 8 * items * width)
    if name == "label_links":
        # Level l of a chunk's merge sort searches for each key in a run of 2^l keys.
        chunks = math.ceil(width / CHUNK)
        keys = math.ceil(min(width, CHUNK) / lanes)
        levels = math.ceil(math.log2(max(min(width, CHUNK), 1)))
        loops = [
            Loop("clear", math.ceil(classes / lanes)),
            Loop("keys", chunks * keys),
            Loop("search", chunks * keys * levels * (levels + 1) // 2),
            Loop("merge", chunks * keys * levels, inner=1),
            Loop("levels", chunks * levels, inner=2),
            Loop("links", chunks * keys),
            Loop("first labels", chunks * keys),
            Loop("chunks", chunks, inner=6),
        ]
        if dispatch.constants.get("FIRST_LABELS"):
            loops.append(Loop("list", math.ceil(width / lanes)))
        return Work(loops, 1, 0, 4 * items * classes + 16 * items * width)
    if name == "softmax_stats":
        once = dispatch.constants.get("ROW_VECTORS")
        iterations = math.ceil(classes / (4 * lanes))
        maximum = [] if once else [Loop("maximum", iterations)]
        total = [] if once else [Loop("sum", iterations)]
        loops = [*maximum, Loop("fold of maxima", folds, fold=True), *total, Loop("fold of sums", folds, fold=True)]
        written = 0
        if dispatch.constants.get("WRITE_GATHERED"):
            # A warp past the last column does not gather.
            row_lanes = min(lanes, WARP)
            average = math.ceil(columns / row_lanes) * row_lanes / lanes
            loops.append(Loop("gather", math.ceil(columns / lanes), average))
            # The frames of a block alternate in the emission table: a sector has two words of each.
            written = SECTOR // 2 * columns * frames * items
        accesses = 2 if dispatch.constants.get("WRITE_GRADIENT") else 1
        return Work(loops, 2 if once else 1, accesses * logits, tops + written)
    if name == "sweep inward":
        return Work([Loop("blocks", blocks, direction=d) for d in (0, 1)], 3, entries, states + tops)
    if name == "sweep outward":
        # The last block is before the loop; in records without LAST, only with one pair per lane.
        before = 1 if "LAST" in dispatch.constants or dispatch.constants.get("PAIRS", 4) == 1 else 0
        loops = [Loop("blocks", blocks - before, direction=d) for d in (0, 1)]
        # It reads the rows and writes the weights and, for each quad, the sums over its blanks.
        return Work(loops, 3, entries, 2.25 * states + tops)
    if name == "join":
        loops = [
            Loop("quads", math.ceil(quads / lanes)),
            Loop("frames", math.ceil(frames / (4 * lanes))),
            Loop("fold", folds, fold=True),
        ]
        return Work(loops, 2, 0, tops + 128 * quads * items)
    if name == "grad":
        of_labels = dispatch.constants.get("OF_LABELS")
        seeded = seeded_labels(shape)
        iterations = [link_iterations(own, classes, lanes, of_labels) for own in seeded]
        visited = 1 + width if of_labels else classes
        # The lanes that have a quad are folded: within subgroups, then over the subgroups.
        levels = min(math.ceil(math.log2(quads)), folds)
        within = min(levels, int(math.log2(WARP))) if dispatch.subgroups else levels
        over = [Loop("fold of subgroups", levels - within, fold=True)] if dispatch.subgroups and lanes > WARP else []
        loops = [
            Loop("weigh", math.ceil(quads / lanes)),
            Loop("fold", within, fold=True),
            *over,
            Loop("no gradient", 0),
            Loop("labels of a class", max(r[0] for r in iterations), sum(r[1] for r in iterations) / items),
            Loop("classes", math.ceil(visited / lanes), inner=1),
        ]
        batch = 2 * logits
        if of_labels:
            batch = 2 * SECTOR * frames * sum(label_sectors(own) for own in seeded)
        # Four frames share a read of the words of the classes that are visited.
        return Work(loops, 2, batch, visited * items * frames + 2.25 * states + tops)
    raise NoEstimate(f"stage `{name}` is not modelled")


def matched(loops, found, kernel):
    """Pairs each loop of the shader with the compiled one; both have inner loops first.

    The compiler may unroll the folds.
    """
    for expected in (loops, [loop for loop in loops if not loop.fold]):
        pairs = list(zip(expected, found))
        if len(expected) == len(found) and all(code.get("inner", loop.inner) == loop.inner for loop, code in pairs):
            return pairs
    names = ", ".join(loop.name for loop in loops)
    raise NoEstimate(f"`{kernel}` compiled to {len(found)} loops; the model has {len(loops)}: {names}")


def slots(instructions, pipes, pipe_cycles):
    """Returns the cycles of a scheduler for these instructions of one warp.

    It is the time of the busiest pipe, or one cycle per instruction.
    """
    return max([instructions, *(count * pipe_cycles.get(pipe, 1) for pipe, count in pipes.items())])


@dataclass
class Cost:
    """The cycles of one warp alone, and its issue slots, for a whole dispatch."""

    alone: float
    issue: float


def of_slower_direction(sums):
    """Returns the sum over the loops of the slower direction and those that both directions run."""
    return sums[None] + max(sums[0], sums[1])


def warp_cost(work, compiled, dispatch, model):
    """Returns the cost of one warp of a dispatch."""
    calibration = model["calibration"]
    pipe_cycles = model["sm"]["pipe_cycles"]
    # By direction, and by None for the loops that every warp runs.
    alone, issue = Counter(), Counter()
    # The instructions, cycles and pipes of each loop without those of its inner loops.
    without_inner = []
    straight = compiled["code_bytes"] / 16
    # Earlier records do not have the pipes of the code outside loops.
    straight_pipes = Counter(compiled.get("pipes", {}))
    pairs = matched(work.loops, compiled["loops"], dispatch.kernel)
    for at, (loop, code) in enumerate(pairs):
        inner = without_inner[at - loop.inner : at]
        own = code["instructions"] - sum(one[0] for one in inner)
        cycles = code["cycles"] - sum(one[1] for one in inner)
        pipes = {pipe: count - sum(one[2].get(pipe, 0) for one in inner) for pipe, count in code["pipes"].items()}
        without_inner.append((own, cycles, pipes))
        cycles = max(cycles, own)
        straight -= own
        straight_pipes.subtract(pipes)
        issue[loop.direction] += loop.average * slots(own, pipes, pipe_cycles)
        alone[loop.direction] += loop.iterations * cycles
    # The other direction's code outside its loops is in it too.
    straight = max(straight, 0)
    straight_issue = slots(straight, straight_pipes, pipe_cycles)
    waits = straight * calibration["straight_cycles"] + work.loads * calibration["l2_cycles"]
    return Cost(of_slower_direction(alone) + waits, of_slower_direction(issue) + straight_issue)


@dataclass
class Stage:
    """The estimate of one dispatch in microseconds without its start, its bound and all bounds."""

    us: float
    bound: str
    bounds: dict
    beyond_l2: bool


def estimate(dispatch, shape, compiled, card, model):
    """Returns the estimate of a dispatch.

    It is the longest of one warp's path, all instructions over all schedulers, and the bytes.
    """
    calibration, sm = model["calibration"], model["sm"]
    if dispatch.times != 1:
        raise NoEstimate(f"`{dispatch.label}` is split into {dispatch.times} dispatches, which is not modelled")
    work = work_of(dispatch, shape)
    warp = warp_cost(work, compiled, dispatch, model)
    sms, schedulers = card["sms"], sm["schedulers"]
    per_us = card["clock_ghz"] * 1e3
    # Registers are allocated to a warp in units of 256.
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

    alone = waves * calibration["round_factor"] * warp.alone / per_us
    bounds = {"latency": alone, "issue": issue, "bytes": moved}
    bound = max(bounds, key=bounds.get)
    return Stage(bounds[bound], bound, bounds, beyond_l2)
