#!/usr/bin/env python3
"""Times the alignment and the decoders of other libraries on the batches of `inputs.trained`.

    python decoders.py torchaudio|tensorflow|fast-ctc-decode|pyctcdecode
        [--threads N] [--enough SECONDS] [--shape T,N,C,L]...

Prints one JSON line per shape and task. It contains the decoded classes and, if the library
reports it, their log-probability, so that the results can be compared. All libraries start from
logits, as ours does: if one takes log-probabilities or probabilities, the softmax is part of its
time.
"""

import json
import math
import sys
import time
from importlib.metadata import version

from peers import arguments
from shapes import TRAINED_SHAPES
from tensorflow_peers import tensorflow_with
from timing import ENOUGH_S, Timer, first_line

LEAST_PROBABILITY = 1e-4
BEAMS = {"beam 16": 16, "beam 100": 100}


def pruned(name):
    return f"{name}, p ≥ 0.0001"


# Each peer takes logits [N, T, C] and labels [N, L] with blank 0. For each of its tasks it yields a
# step, which runs the task once, and a function that converts the result of the step to a list of
# classes per item and a list of log-probabilities, or None if the library does not report them.


def torchaudio(logits, labels, threads):
    """Aligns one item at a time."""
    import torch
    from torchaudio.functional import forced_align

    torch.set_num_threads(threads)
    x, labels = torch.tensor(logits), torch.tensor(labels)

    def step():
        log_probs = torch.log_softmax(x, -1)
        return [forced_align(log_probs[n : n + 1], labels[n : n + 1], blank=0) for n in range(len(x))]

    def converted(found):
        return [path[0].tolist() for path, _ in found], [log_probs.double().sum().item() for _, log_probs in found]

    yield "align", step, converted


def tensorflow(logits, _labels, threads):
    """The beam's blank is the last class.

    Greedy decoding needs no softmax: its score is a sum of logits.
    """
    import numpy as np

    tf = tensorflow_with(threads)
    items, frames, _ = logits.shape
    x = tf.constant(logits.transpose(1, 0, 2).copy())
    rolled = tf.constant(np.roll(logits, -1, -1).transpose(1, 0, 2).copy())
    lengths = tf.fill([items], frames)

    def rows(sparse, first):
        found = [[] for _ in range(items)]
        for (item, _), label in zip(sparse.indices.numpy(), sparse.values.numpy()):
            found[item].append(int(label) + first)
        return found

    def greedy():
        return tf.nn.ctc_greedy_decoder(x, lengths, blank_index=0)

    yield "greedy", greedy, lambda found: (rows(found[0][0], 0), None)
    for name, width in BEAMS.items():

        def beam(width=width):
            return tf.nn.ctc_beam_search_decoder(rolled, lengths, beam_width=width, top_paths=1)

        yield name, beam, lambda found: (rows(found[0][0], 1), found[1].numpy()[:, 0].tolist())


def fast_ctc_decode(logits, _labels, _threads):
    """Decodes one item at a time, on one thread, and reports no probability."""
    import numpy as np
    from fast_ctc_decode import beam_search, viterbi_search

    alphabet = characters(logits.shape[-1])

    def softmax(x):
        x = np.exp(x - x.max(-1, keepdims=True))
        return x / x.sum(-1, keepdims=True)

    def each(search):
        return lambda: [search(softmax(item))[0] for item in logits]

    def converted(found):
        return classes(found), None

    yield "greedy", each(lambda item: viterbi_search(item, alphabet)), converted
    for name, width in BEAMS.items():
        for name_, least in ((name, 0.0), (pruned(name), LEAST_PROBABILITY)):

            def search(item, width=width, least=least):
                return beam_search(item, alphabet, beam_size=width, beam_cut_threshold=least)

            yield name_, each(search), converted


def pyctcdecode(logits, _labels, threads):
    """Decodes without a language model, with the items in a pool of processes.

    Beams that fall behind are dropped, as by default. It is only timed with a least probability:
    without one it takes minutes.
    """
    import logging
    import multiprocessing

    logging.disable()
    from pyctcdecode import build_ctcdecoder

    decoder = build_ctcdecoder(["", *characters(logits.shape[-1])[1:]])
    pool = multiprocessing.get_context("fork").Pool(threads)
    items = list(logits)

    def converted(found):
        best = [beams[0] for beams in found]
        return classes([beam[0] for beam in best]), [float(beam[3]) for beam in best]

    for name, width in BEAMS.items():

        def beam(width=width):
            least = math.log(LEAST_PROBABILITY)
            return decoder.decode_beams_batch(pool, items, beam_width=width, token_min_logp=least)

        yield pruned(name), beam, converted


def characters(count):
    """Returns one character per class, without a meaning to a decoder."""
    return [chr(0x4E00 + i) for i in range(count)]


def classes(texts):
    return [[ord(character) - 0x4E00 for character in text] for text in texts]


# The functions, and the packages whose version is reported.
PEERS = {
    "torchaudio": (torchaudio, "torchaudio"),
    "tensorflow": (tensorflow, "tensorflow-cpu"),
    "fast-ctc-decode": (fast_ctc_decode, "fast-ctc-decode"),
    "pyctcdecode": (pyctcdecode, "pyctcdecode"),
}


def measure(step, converted, timer):
    start = time.perf_counter()
    answers, log_probs = converted(step())
    first = time.perf_counter() - start
    # A step that takes longer than the patience runs only once.
    times = timer.take(lambda: timer.milliseconds(step)) if first < timer.patience else [first * 1e3]
    return {
        "median_ms": times[len(times) // 2],
        "min_ms": times[0],
        "runs": len(times),
        "results": answers,
        "log_probs": log_probs,
    }


def main():
    args = arguments(__doc__, PEERS)
    make, package = PEERS[args.peer]
    timer = Timer(args.enough or ENOUGH_S)
    try:
        import inputs

        for shape_ in args.shape or TRAINED_SHAPES:
            logits, labels = inputs.trained(shape_)
            for task, step, converted in make(logits, labels, args.threads):
                line = {"peer": args.peer, "shape": shape_, "task": task, "version": version(package)}
                try:
                    line |= measure(step, converted, timer)
                except Exception as error:  # The other tasks can still be timed.
                    line["error"] = first_line(error)
                print(json.dumps(line), flush=True)
    except (ImportError, OSError) as error:
        print(json.dumps({"peer": args.peer, "absent": str(error).splitlines()[0]}))


if __name__ == "__main__":
    sys.exit(main())
