#!/usr/bin/env python3
"""Times the CTC loss of another library, with its gradient with respect to the logits, in float32.

    python peers.py torch|torch-cuda|torch-cudnn|optax|tensorflow|keras [--threads N] [--shape T,N,C,L]...

A JSON line for each shape: the median and the least time in ms, and two sums by which programs that time the same batch
see that they compute the same. What a library needs beside its loss (a softmax, and its gradient) is part of the time, as
it is of ours. A peer that is not there says so: {"peer": …, "absent": why}.
"""

import argparse
import json
import os
import sys
import time

WARM_UP_S, ENOUGH_S, LEAST_RUNS, PATIENCE_S = 0.2, 1.0, 5, 10.0


class Absent(Exception):
    """The library, or the device that it needs, is not on this machine."""


# Each peer takes logits [N, T, C] and labels [N, L] and gives a step, which computes once and waits for the end, and
# what brings the step's answer to numpy: losses [N] and the gradient, in whatever order its axes are.


def torch_cpu(logits, labels, threads):
    import torch

    torch.set_num_threads(threads)
    return torch_step(torch, logits, torch.tensor(labels).long(), "cpu", "cpu")


def torch_cuda(logits, labels, threads):
    torch = torch_with_cuda()
    torch.backends.cudnn.enabled = False
    return torch_step(torch, logits, torch.tensor(labels).long().cuda(), "cuda", "cuda")


def torch_cudnn(logits, labels, threads):
    """PyTorch only hands over to cuDNN what it takes: blank 0, full lengths, labels in one row of int32 on the host."""
    if labels.shape[1] > 256:
        raise ValueError("cuDNN takes at most 256 labels")
    torch = torch_with_cuda()
    # The other algorithm gives NaN gradients for sharp logits.
    torch.backends.cudnn.deterministic = True
    return torch_step(torch, logits, torch.tensor(labels).int().reshape(-1), "cuda", "cpu")


def torch_with_cuda():
    import torch

    if not torch.cuda.is_available():
        raise Absent("no CUDA device")
    return torch


def torch_step(torch, logits, labels, device, lengths_on):
    items, frames, _ = logits.shape
    x = torch.tensor(logits.transpose(1, 0, 2).copy(), device=device, requires_grad=True)
    kind = torch.int32 if labels.dtype == torch.int32 else torch.long
    logit_lengths = torch.full((items,), frames, dtype=kind, device=lengths_on)
    label_lengths = torch.full((items,), labels.numel() // items, dtype=kind, device=lengths_on)

    def step():
        x.grad = None
        log_probs = torch.log_softmax(x, -1)
        loss = torch.nn.functional.ctc_loss(log_probs, labels, logit_lengths, label_lengths, reduction="none")
        loss.sum().backward()
        return loss, x.grad

    def waited():
        answer = step()
        if device == "cuda":
            torch.cuda.synchronize()
        return answer

    def stamped():
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        step()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def numpy(answer):
        return [tensor.detach().cpu().numpy() for tensor in answer]

    return waited, numpy, stamped if device == "cuda" else None


def optax(logits, labels, threads):
    import jax
    import jax.numpy as jnp
    import optax

    x, y = jnp.asarray(logits), jnp.asarray(labels)
    no_frames, no_labels = jnp.zeros(logits.shape[:2]), jnp.zeros(labels.shape)

    def total(x):
        loss = optax.ctc_loss(x, no_frames, y, no_labels, blank_id=0)
        return loss.sum(), loss

    run = jax.jit(jax.grad(total, has_aux=True))

    def step():
        grad, loss = jax.block_until_ready(run(x))
        return loss, grad

    return step, lambda answer: answer, None


def tensorflow(logits, labels, threads):
    """Sparse labels choose the op in C++; dense ones a while loop that is up to a hundred times slower."""
    tf = tensorflow_with(threads)
    x = tf.constant(logits.transpose(1, 0, 2).copy())
    y = tf.sparse.from_dense(tf.constant(labels))
    lengths = tf.fill([logits.shape[0]], logits.shape[1])

    def loss_of(x):
        return tf.nn.ctc_loss(y, x, None, lengths, logits_time_major=True, blank_index=0)

    return tensorflow_step(tf, x, loss_of)


def keras(logits, labels, threads):
    """`ctc_batch_cost` takes probabilities, and its blank is the last class."""
    import numpy as np

    tf = tensorflow_with(threads)
    from keras.src.legacy.backend import ctc_batch_cost

    x = tf.constant(np.roll(logits, -1, -1))
    y = tf.constant((labels - 1).astype(np.float32))

    def full(length):
        return tf.fill([logits.shape[0], 1], tf.constant(length, tf.int64))

    def loss_of(x):
        return ctc_batch_cost(y, tf.nn.softmax(x), full(logits.shape[1]), full(labels.shape[1]))

    return tensorflow_step(tf, x, loss_of)


def tensorflow_with(threads):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # TensorFlow refuses to be asked twice.
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.set_visible_devices([], "GPU")
    return tf


def tensorflow_step(tf, x, loss_of):
    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = loss_of(x)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, x)

    def step():
        loss, grad = run(x)
        loss.numpy()
        return loss, grad

    return step, lambda answer: [tensor.numpy() for tensor in answer], None


PEERS = {
    "torch": (torch_cpu, "torch"),
    "torch-cuda": (torch_cuda, "torch"),
    "torch-cudnn": (torch_cudnn, "torch"),
    "optax": (optax, "optax"),
    "tensorflow": (tensorflow, "tensorflow"),
    "keras": (keras, "keras"),
}


def timed(step):
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


def take(once):
    """Times in ms, shortest first, as our own programs take them."""
    start = time.perf_counter()
    while time.perf_counter() - start < WARM_UP_S:
        once()
    start, times = time.perf_counter(), []
    while not times or time.perf_counter() - start < (PATIENCE_S if len(times) < LEAST_RUNS else ENOUGH_S):
        times.append(once())
    return sorted(times)


def measure(make, shape, threads):
    import numpy as np
    from inputs import batch

    step, to_numpy, stamped = make(*batch(shape), threads)
    loss, grad = (np.asarray(array, np.float64) for array in to_numpy(step()))
    wall = take(lambda: timed(step))
    times = take(stamped) if stamped else wall
    return {
        "median_ms": times[len(times) // 2],
        "min_ms": times[0],
        "runs": len(times),
        "timed_by": "timestamps" if stamped else "wall",
        "wall_ms": wall[len(wall) // 2],
        "mean_loss": float(loss.mean()),
        "grad_l1": float(np.abs(grad).sum()),
    }


def shape(text):
    try:
        frames, items, classes, labels = (int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: T,N,C,L is needed") from None
    return frames, items, classes, labels


def arguments(description, peers):
    """Those of a program that times peers, which keeps to its cores from then on."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("peer", choices=peers)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--shape", type=shape, action="append", metavar="T,N,C,L")
    args = parser.parse_args()
    # Every library counts threads in its own way, some not at all; all of them keep to the cores that they are given.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    return args


def main():
    args = arguments(__doc__, PEERS)
    make, package = PEERS[args.peer]
    try:
        import inputs
    except ImportError as error:
        print(json.dumps({"peer": args.peer, "absent": str(error)}))
        return
    for shape_ in args.shape or inputs.SHAPES:
        line = {"peer": args.peer, "shape": shape_, "threads": args.threads}
        try:
            line |= measure(make, shape_, args.threads)
            line["version"] = sys.modules[package].__version__
        except (Absent, ImportError) as error:
            print(json.dumps({"peer": args.peer, "absent": str(error)}))
            return
        except Exception as error:  # A library may fail in any way; the others shall still be timed.
            line["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
