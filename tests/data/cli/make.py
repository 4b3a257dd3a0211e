"""Writes the batches beside it with numpy, as a user's script would: `python make.py` (numpy 2).

Each file contains the first two items of ../ocr/keras_ocr_trained.npz, stored in another of the
ways that numpy supports, so that the losses are those of that file.
"""

from pathlib import Path

import numpy as np

here = Path(__file__).parent
ocr = dict(np.load(here / "../ocr/keras_ocr_trained.npz"))
two = {name: array[:2] if array.ndim else array for name, array in ocr.items()}
grad = two.pop("grad_f64")
lengths = two["label_lengths"]


def save(name, into=np.savez, without=(), **changes):
    arrays = {**two, **changes}
    into(here / name, **{key: arrays[key] for key in arrays if key not in without})


save("plain.npz", grad_f64=grad)
save("compressed.npz", into=np.savez_compressed, grad_f64=grad)
save(
    "fortran.npz",
    logits=np.asfortranarray(two["logits"]),
    labels=np.asfortranarray(two["labels"]),
    grad_f64=np.asfortranarray(grad),
)
save("time_major.npz", logits=two["logits"].transpose(1, 0, 2).copy(), grad_f64=grad.transpose(1, 0, 2).copy())
# Padding that does not fit into 32 bits must be ignored.
padded = np.where(np.arange(6) < lengths[:, None], two["labels"], np.int64(-(2**40)))
save(
    "wide_integers.npz",
    labels=padded,
    logit_lengths=two["logit_lengths"].astype(np.int64),
    label_lengths=lengths.astype(np.uint8),
    blank=np.int64(19),
)
save("big_endian.npz", logits=two["logits"].astype(">f4"), labels=two["labels"].astype(">i2"))
save("float64.npz", logits=two["logits"].astype(np.float64), weights=np.array([1.0, 1.0]))
save("concatenated.npz", labels=np.concatenate([row[:n] for row, n in zip(two["labels"], lengths)]))
# The blank is not stored; the test passes `--blank last`.
save("no_blank.npz", without=["blank"])
# Without lengths, all frames and all labels are valid.
save(
    "no_lengths.npz",
    without=["logit_lengths", "label_lengths", "loss_f64"],
    labels=np.array([[1, 2, 3], [4, 4, 5]], np.int32),
)
wide = two["logits"].astype(np.float64)
log_probs = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
save("log_probs.npz", without=["logits", "loss_f64"], log_probs=log_probs.astype(np.float32))
save("probs.npz", without=["logits", "loss_f64"], probs=np.exp(log_probs).astype(np.float32))
# The second item has three equal labels, which need five frames, but only four frames.
save(
    "impossible.npz",
    without=["loss_f64"],
    labels=np.array([[1, 2, 3], [4, 4, 4]], np.int32),
    label_lengths=np.array([3, 3], np.int32),
    logit_lengths=np.array([50, 4], np.int32),
)
