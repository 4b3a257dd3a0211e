"""The native module. It takes arrays that are contiguous and aligned; `_core` makes them so."""

from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Backend", "DeviceLost", "Options", "adapters", "align", "beam", "edits", "greedy"]

class DeviceLost(RuntimeError): ...

@final
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

_Labels = (
    tuple[NDArray[np.int32], NDArray[np.int32]]
    | tuple[NDArray[np.int32], NDArray[np.float32]]
    | tuple[NDArray[np.int64], NDArray[np.int32], tuple[int, int]]
)
_Frames = NDArray[np.int32] | NDArray[np.float32] | None

@final
class Backend:
    def __new__(cls, name: str) -> Backend: ...
    def compute(
        self,
        values: _Floats,
        labels: _Labels,
        options: Options,
        *,
        time_major: bool,
        frames: _Frames,
        weights: NDArray[np.float32] | None,
        grad: bool,
    ) -> tuple[_Floats, _Floats | None, float | None]: ...
    def set_cache_limits(self, pipelines: int, sessions: int) -> None: ...
    def _panic(self, message: str) -> None: ...
    def abandon(self) -> None: ...

def adapters() -> list[dict[str, str]]: ...
def align(
    backend: Backend,
    values: NDArray[np.float32],
    labels: _Labels,
    options: Options,
    *,
    time_major: bool,
    frames: _Frames,
) -> list[
    tuple[
        NDArray[np.int32],
        NDArray[np.int32],
        NDArray[np.float64],
        list[tuple[int, tuple[int, int], float]],
        float,
        str,
    ]
]: ...
def greedy(
    backend: Backend, values: NDArray[np.float32], options: Options, *, time_major: bool, frames: _Frames
) -> list[tuple[list[int], list[tuple[int, int]], float, str]]: ...
def beam(
    backend: Backend,
    values: NDArray[np.float32],
    options: Options,
    *,
    time_major: bool,
    frames: _Frames,
    width: int,
    top: int,
    classes: int | None,
    least_probability: float,
) -> list[list[tuple[list[int], float, float]] | None]: ...
def edits(labels: list[int], read: list[int]) -> tuple[int, int, int, int]: ...
