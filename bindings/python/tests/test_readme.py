"""Runs the Python examples of the README in order, on TensorFlow."""

import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_of_the_readme_run():
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    # A process imports only one of the two libraries; test_torch_graphs.py runs PyTorch's examples.
    blocks = [block for block in blocks if "import torch" not in block]
    assert len(blocks) > 5
    names = {"keras": keras, "lines": np.random.default_rng(0).random((2, 50, 20), np.float32)}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["loss"].shape == (2,)
    assert (names["span"].label, names["span"].frames) == (2, range(3, 4))
    assert names["decoded"].shape == (2, 50)
