"""CTC loss and its gradient on any GPU that wgpu reaches, or on the CPU.

Here it is for numpy arrays; `ctc_wgpu.keras`, `ctc_wgpu.tf`, `ctc_wgpu.torch` and `ctc_wgpu.jax` have it with the signatures of
those libraries. Terms: N items of T frames over C classes, the blank among them; L labels of an item.
"""

from ._api import adapters, backend_name, ctc_loss, ctc_loss_and_grad
from ._core import SparseLabels
from ._native import DeviceLost

__all__ = ["DeviceLost", "SparseLabels", "adapters", "backend_name", "ctc_loss", "ctc_loss_and_grad"]
__version__ = "0.1.0"
