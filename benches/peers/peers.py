#!/usr/bin/env python3
"""Times the CTC loss of another library, with its gradient with respect to the logits, in float32.

    python peers.py PEER [--threads N] [--enough SECONDS] [--shape T,N,C,L]...

Prints one JSON line per shape: the median and the least time in ms, and two sums by which programs
that time the same batch compare their results. The softmax of a library, and its gradient, are part
of the time, as they are of ours. A peer that is not on this machine prints
{"peer": …, "absent": reason}. `torch-copy` has no shapes: it prints the rate of `copy_`.

On a GPU there are three figures: `kernels_ms`, the time of the kernels alone by a profiler;
`queued_ms`, 20 steps enqueued and one wait, divided by 20; `wall_ms`, one step waited for.
`median_ms` is the first of them that exists, and `timed_by` names it.
`--enough` is shared by the figures of a shape; without it each of them has a second.
"""

import argparse
import json
import os
import sys

from jax_peers import optax_cpu, optax_cuda
from shapes import SHAPES
from tensorflow_peers import keras, tensorflow
from timing import Absent, best, first_line, timer_for
from torch_peers import copy_rate, flag_gems, torch_cpu, torch_cuda, torch_cudnn

# Each function takes logits [N, T, C], labels [N, L] and a number of threads, and returns one step
# per way to call the library.
# The second is the package that has the version.
PEERS = {
    "torch": (torch_cpu, "torch"),
    "torch-cuda": (torch_cuda, "torch"),
    "torch-cudnn": (torch_cudnn, "torch"),
    "flag-gems": (flag_gems, "flag_gems"),
    "optax": (optax_cpu, "optax"),
    "optax-cuda": (optax_cuda, "optax"),
    "tensorflow": (tensorflow, "tensorflow"),
    "keras": (keras, "keras"),
}
COPY = "torch-copy"

# Two ways to call one library compute the same; its sums of floats may come in another order.
SAME = 1e-3


def sums(step):
    import numpy as np

    answer = step.start()
    step.wait(answer)
    loss, grad = (np.asarray(array, np.float64) for array in step.numpy(answer))
    return {"mean_loss": float(loss.mean()), "grad_l1": float(np.abs(grad).sum())}


def measure(make, shape, threads, enough):
    from inputs import batch

    steps = make(*batch(shape), threads)
    right = sums(steps[0])
    timer = timer_for(steps, enough)
    measured = []
    for step in steps:
        for name, value in sums(step).items():
            if not abs(value - right[name]) <= SAME * abs(right[name]):
                raise ValueError(f"{name} is {value} with lengths on {step.lengths_on}, {right[name]} otherwise")
        measured.append(timer.figures(step))
    return best(measured) | right


def shape(text):
    try:
        frames, items, classes, labels = (int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: T,N,C,L is needed") from None
    return frames, items, classes, labels


def seconds(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a number of seconds above 0 is needed")
    return value


def arguments(description, peers):
    """Parses the arguments of a program that times peers, and restricts it to its cores."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("peer", choices=peers)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--enough", type=seconds, metavar="SECONDS", help="how long to measure a shape, about")
    parser.add_argument("--shape", type=shape, action="append", metavar="T,N,C,L")
    args = parser.parse_args()
    # Every library has its own setting for threads, some have none; all of them obey the cores
    # that they may run on.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    return args


def lines(args):
    """Yields one line per shape.

    Raises Absent or ImportError if the library cannot be called.
    """
    if args.peer == COPY:
        yield copy_rate(args.enough) | {"version": sys.modules["torch"].__version__}
        return
    make, package = PEERS[args.peer]
    for shape_ in args.shape or SHAPES:
        line = {"shape": shape_, "threads": args.threads}
        try:
            line |= measure(make, shape_, args.threads, args.enough)
            line["version"] = sys.modules[package].__version__
        except (Absent, ImportError):
            raise
        except Exception as error:  # The other shapes can still be timed.
            line["error"] = first_line(error)
        yield line


def main():
    args = arguments(__doc__, [*PEERS, COPY])
    try:
        for line in lines(args):
            print(json.dumps({"peer": args.peer} | line), flush=True)
    except (Absent, ImportError) as error:
        print(json.dumps({"peer": args.peer, "absent": str(error).splitlines()[0]}))


if __name__ == "__main__":
    main()
