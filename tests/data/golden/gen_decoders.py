"""Writes decoders.json: results of TensorFlow's decoders on random batches.

    pip install tensorflow-cpu==2.21.0 && python gen_decoders.py

Logits are [N, T, C] lists of numbers with three decimals, so that parsing the file gives the same
f32. The blank is the last class.
"""

import json
import pathlib

import numpy as np
import tensorflow as tf


def labels_of(sparse, items):
    rows = [[] for _ in range(items)]
    for (item, _), value in zip(sparse.indices.numpy(), sparse.values.numpy()):
        rows[item].append(int(value))
    return rows


def case(seed, items, frames, classes, scale, width, top):
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(size=(items, frames, classes)) * scale, 3).astype(np.float32)
    # Shorter items have fewer prefixes than `top_paths`, which TensorFlow rejects.
    lengths = rng.integers(max(frames // 2, 4), frames + 1, items).astype(np.int32)
    lengths[0] = frames
    time_major = tf.constant(logits.transpose(1, 0, 2))
    found = {
        "shape": [items, frames, classes],
        "logits": [round(float(x), 3) for x in logits.ravel()],
        "lengths": lengths.tolist(),
        "width": width,
    }
    for merged in (True, False):
        (read,), score = tf.nn.ctc_greedy_decoder(time_major, lengths, merge_repeated=merged)
        found["greedy" if merged else "greedy_unmerged"] = {
            "labels": labels_of(read, items),
            "neg_sum_logits": score.numpy()[:, 0].tolist(),
        }
    reads, log_probs = tf.nn.ctc_beam_search_decoder(time_major, lengths, beam_width=width, top_paths=top)
    found["beam"] = {
        "labels": [labels_of(read, items) for read in reads],
        "log_probs": log_probs.numpy().T.tolist(),
    }
    return found


def main():
    cases = [
        case(seed, items, frames, classes, scale, width, top)
        for seed, (items, frames, classes, scale, width, top) in enumerate(
            [
                (4, 5, 3, 1.0, 100, 5),
                (4, 8, 4, 2.0, 200, 5),
                (3, 20, 6, 2.0, 16, 3),
                (3, 30, 10, 3.0, 8, 2),
                (2, 60, 20, 3.0, 32, 4),
                (5, 12, 2, 1.0, 4, 2),
                (2, 40, 8, 1.0, 10, 1),
            ]
        )
    ]
    doc = f"TensorFlow {tf.__version__}: ctc_greedy_decoder and ctc_beam_search_decoder, by gen_decoders.py"
    text = json.dumps({"doc": doc, "cases": cases})
    (pathlib.Path(__file__).parent / "decoders.json").write_text(text + "\n")


main()
