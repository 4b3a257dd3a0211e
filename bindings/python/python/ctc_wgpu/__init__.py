"""CTC loss and its gradient on any GPU that wgpu supports, or on the CPU; alignment and decoding.

The functions of this module take numpy arrays and arrays of any library that exports its memory.
`ctc_wgpu.keras`, `ctc_wgpu.tf`, `ctc_wgpu.torch` and `ctc_wgpu.jax` provide the loss with the
signatures of those libraries.

Shapes: N items, T frames, C classes including the blank, L labels of an item.
"""

from ._api import adapters, backend_name, ctc_loss, ctc_loss_and_grad, set_cache_limits
from ._core import SparseLabels
from ._decode import (
    STAR,
    Alignment,
    GreedyHypothesis,
    Hypothesis,
    Span,
    align,
    beam_decode,
    greedy_decode,
)
from ._edits import EditCounts, label_error_rate
from ._native import DeviceLost

__all__ = [
    "STAR",
    "Alignment",
    "DeviceLost",
    "EditCounts",
    "GreedyHypothesis",
    "Hypothesis",
    "Span",
    "SparseLabels",
    "adapters",
    "align",
    "backend_name",
    "beam_decode",
    "ctc_loss",
    "ctc_loss_and_grad",
    "greedy_decode",
    "label_error_rate",
    "set_cache_limits",
]
__version__ = "0.1.0"
