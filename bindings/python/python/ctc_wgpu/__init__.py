"""CTC loss and its gradient on any GPU that wgpu reaches, or on the CPU; and what a network read, and where.

Here it is for numpy arrays; `ctc_wgpu.keras`, `ctc_wgpu.tf`, `ctc_wgpu.torch` and `ctc_wgpu.jax` have it with the signatures of
those libraries. Terms: N items of T frames over C classes, the blank among them; L labels of an item.
"""

from ._api import adapters, backend_name, ctc_loss, ctc_loss_and_grad, set_cache_limits
from ._core import SparseLabels
from ._decode import (
    STAR,
    Alignment,
    Candidate,
    Edits,
    Reading,
    Span,
    align,
    beam_decode,
    greedy_decode,
    label_error_rate,
)
from ._native import DeviceLost

__all__ = [
    "STAR",
    "Alignment",
    "Candidate",
    "DeviceLost",
    "Edits",
    "Reading",
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
