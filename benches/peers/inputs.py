"""The batches of `crates/bench-support/src/`, bit for bit.

SplitMix64 mixes a counter, so that numpy can generate all numbers at once.
"""

import numpy as np

SEED = 7
# Small enough that a chunk's numbers stay in a core's cache.
CHUNK = 1 << 16


def draws(first, count):
    """Returns `count` numbers of the generator, starting with number `first`."""
    z = np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(SEED)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def batch(shape):
    """Returns logits `[N, T, C]` of mean 0 and variance 1, and labels `[N, L]` from 1 on.

    The blank is 0, and all lengths are full.
    """
    frames, items, classes, labels = shape
    logits = np.empty(items * frames * classes, np.float32)
    for at in range(0, logits.size, CHUNK):
        count = min(CHUNK, logits.size - at)
        words = (draws(4 * at, 4 * count) >> np.uint64(48)).astype(np.float32)
        # Multiples of 2^-16: the sum of four is exact in whatever order it is taken.
        uniforms = (words / np.float32(65536) - np.float32(0.5)).reshape(count, 4)
        logits[at : at + count] = uniforms.sum(1) * np.sqrt(np.float32(3))
    last = draws(4 * logits.size, items * labels)
    of_labels = (last >> np.uint64(33)) % np.uint64(classes - 1) + np.uint64(1)
    return logits.reshape(items, frames, classes), of_labels.astype(np.int32).reshape(items, labels)


def trained(shape):
    """Returns a batch with the logits of `crates/bench-support/src/trained.rs`."""
    logits, labels = batch(shape)
    frames, _, classes, length = shape
    peak = np.float32(12)
    for item, item_labels in zip(logits, labels):
        blank = np.ones(frames, bool)
        for i, label in enumerate(item_labels):
            t, rival = (2 * i + 1) * frames // (2 * length), 1 + label % (classes - 1)
            blank[t] = False
            item[t, label] += peak
            if i % 4 == 3 and rival != label:
                item[t, rival] += peak - np.float32(1)
            if t + 1 < frames:
                item[t + 1, label] += peak
        item[blank, 0] += peak
    return logits, labels
