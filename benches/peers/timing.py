"""Times the steps of a peer: one step waited for, steps queued, and on a GPU the kernels alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

# Seconds per figure, unless the caller sets a budget, and the fewest runs of a figure.
ENOUGH_S, LEAST_RUNS = 1.0, 5

# Shares of a figure's seconds: the warm-up, and how long the fewest runs may take.
WARM_UP, PATIENCE = 0.2, 10.0

# Steps enqueued before one wait, and steps recorded by one run of a profiler.
QUEUED, PROFILED = 20, 10

# A profiler that reports more kernel time than the same steps take, by this factor, is not trusted.
PLAUSIBLE = 1.25

# The figure that counts is the first of these that a step has.
HEADLINES = ("kernels", "queued", "wall")


class Absent(Exception):
    """The library, or the device that it needs, is not on this machine."""


@dataclass
class Step:
    """One loss with its gradient. `kernels` and `events` exist only on a GPU."""

    # Enqueues a step and returns its result, which may not be computed yet.
    start: Callable
    # Waits for a step's answer, and for all steps enqueued before it.
    wait: Callable
    # Converts an answer to numpy: losses [N], and the gradient with its axes in any order.
    numpy: Callable
    on_gpu: bool = False
    # Profiles a number of steps and returns the milliseconds and the number of their kernels.
    kernels: Callable | None = None
    # Returns the milliseconds between two marks on the device's queue, around one step.
    events: Callable | None = None
    # Where the lengths are stored, if there is a choice.
    lengths_on: str | None = None

    def figures(self):
        if not self.on_gpu:
            return ["wall"]
        return ["wall", "queued"] + [name for name in ("events", "kernels") if getattr(self, name)]


def timer_for(steps, seconds):
    """Returns a timer that divides the seconds among the figures of these steps.

    Without a budget each figure has a second.
    """
    return Timer(seconds / sum(len(step.figures()) for step in steps)) if seconds else Timer()


class Measured(NamedTuple):
    """The times of a step by figure, shortest first, and notes for the line of its shape."""

    times: dict
    notes: dict
    lengths_on: str | None


class Timer:
    """Measures for about `enough` seconds per figure, by `clock` in seconds."""

    def __init__(self, enough=ENOUGH_S, clock=time.perf_counter):
        self.enough, self.clock = enough, clock
        self.patience = PATIENCE * enough

    def milliseconds(self, run):
        start = self.clock()
        run()
        return (self.clock() - start) * 1e3

    def take(self, once, least=LEAST_RUNS):
        """Returns the times that `once` returns, shortest first. Our own programs measure alike."""
        start = self.clock()
        while self.clock() - start < WARM_UP * self.enough:
            once()
        start, times = self.clock(), []
        while not times or self.clock() - start < (self.patience if len(times) < least else self.enough):
            times.append(once())
        return sorted(times)

    def wall(self, step):
        return self.take(lambda: self.milliseconds(lambda: step.wait(step.start())))

    def queued(self, step):
        def steps():
            for _ in range(QUEUED):
                answer = step.start()
            step.wait(answer)

        # This is an average of steps already, and so is a profile.
        return self.take(lambda: self.milliseconds(steps) / QUEUED, least=1)

    def kernels(self, step, notes):
        def profiled():
            ms, count = step.kernels(PROFILED)
            if count == 0:
                raise RuntimeError("the profiler recorded no kernel")
            notes["kernels_per_step"] = count / PROFILED
            return ms / PROFILED

        return self.take(profiled, least=1)

    def figures(self, step):
        times, notes = {"wall": self.wall(step)}, {}
        if step.on_gpu:
            times["queued"] = self.queued(step)
        if step.events:
            times["events"] = self.take(step.events)
        if step.kernels:
            try:
                kernels = self.kernels(step, notes)
                if median(kernels) > PLAUSIBLE * median(times["queued"]):
                    raise RuntimeError(f"the profiler reports {median(kernels):.3f} ms of kernels per queued step")
                times["kernels"] = kernels
            except Exception as error:  # The other figures are still valid.
                notes["no_kernels"] = first_line(error)
        return Measured(times, notes, step.lengths_on)


def first_line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0]


def best(measured):
    """Returns the line of a shape from the measurements of each way to call the library.

    Every figure is that of the faster way.
    """
    chosen = {}
    for name in ("wall", "queued", "events", "kernels"):
        ways = [way for way in measured if name in way.times]
        if ways:
            chosen[name] = min(ways, key=lambda way: median(way.times[name]))
    line = {f"{name}_ms": median(way.times[name]) for name, way in chosen.items()}
    by = next(name for name in HEADLINES if name in chosen)
    times = chosen[by].times[by]
    line |= {"median_ms": line[f"{by}_ms"], "min_ms": times[0], "runs": len(times), "timed_by": by}
    # With the number of kernels, or the reason for their absence.
    line |= chosen.get("kernels", measured[0]).notes
    if measured[0].lengths_on:
        line["lengths_on"] = places({name: way.lengths_on for name, way in chosen.items()})
    return line


def places(chosen):
    """Returns `cpu`, or `cpu for wall, queued; cuda for kernels`."""
    by_place = {}
    for name, place in chosen.items():
        by_place.setdefault(place, []).append(name)
    if len(by_place) == 1:
        return next(iter(by_place))
    return "; ".join(f"{place} for {', '.join(names)}" for place, names in by_place.items())
