"""The native module. It takes arrays that are contiguous and aligned; `_core` makes them so."""

import numpy as np
from numpy.typing import NDArray

class DeviceLost(RuntimeError): ...

class Options:
    def __new__(
        cls,
        *,
        blank: int = 0,
        input: str = "logits",
        epsilon: float = 1e-7,
        reduction: str = "none",
        impossible: str = "inf",
        blank_in_labels: str = "reject",
        repeated_labels: str = "keep",
        repeated_outputs: str = "merge",
    ) -> Options: ...

_Floats = NDArray[np.float32] | NDArray[np.float64]

class Backend:
    def __new__(cls, name: str) -> Backend: ...
    def compute(
        self,
        values: _Floats,
        labels: (
            tuple[NDArray[np.int32], NDArray[np.int32]]
            | tuple[NDArray[np.int32], NDArray[np.float32]]
            | tuple[NDArray[np.int64], NDArray[np.int32], tuple[int, int]]
        ),
        options: Options,
        *,
        time_major: bool,
        frames: NDArray[np.int32] | NDArray[np.float32] | None,
        weights: NDArray[np.float32] | None,
        grad: bool,
    ) -> tuple[_Floats, _Floats | None, float | None]: ...
    def abandon(self) -> None: ...

def adapters() -> list[dict[str, str]]: ...
