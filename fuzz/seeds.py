#!/usr/bin/env python3
"""Writes the seed corpus of the target `batch_file`, from the small archives in tests/data/cli.

Writes two inputs per archive: the archive itself, and the list of its arrays.
"""

import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NAMES = [
    "logits", "log_probs", "probs", "labels", "label_lengths", "logit_lengths", "weights", "blank",
    "loss_f64", "grad_f64",
]  # fmt: skip

out = HERE / "corpus" / "batch_file"
out.mkdir(parents=True, exist_ok=True)
for path in sorted((HERE.parent / "tests/data/cli").glob("*.npz")):
    (out / f"{path.stem}-archive").write_bytes(b"\0" + path.read_bytes())
    arrays = b"\1"
    for entry in zipfile.ZipFile(path).infolist():
        name = entry.filename.removesuffix(".npy")
        data = zipfile.ZipFile(path).read(entry)
        if name in NAMES and len(data) < 1 << 16:
            arrays += struct.pack("<BH", NAMES.index(name), len(data)) + data
    (out / f"{path.stem}-arrays").write_bytes(arrays)
