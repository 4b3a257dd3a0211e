"""The native module. Its arrays must be contiguous and aligned; `_core` converts them."""

from typing import final

import numpy as np
from numpy.typing import NDArray

from ._types import (
    BlankInLabels,
    Floats,
    Impossible,
    Input,
    Reduction,
    RepeatedLabels,
    RepeatedOutputs,
    Status,
)

__all__ = ["Backend", "DeviceLost", "Options", "adapters", "align", "beam", "edit_counts", "greedy"]

class DeviceLost(RuntimeError): ...

@final
class Options:
    def __new__(
        cls,
        *,
        blank: int = 0,
        input: Input = "logits",
        epsilon: float = 1e-7,
        reduction: Reduction = "none",
        impossible: Impossible = "inf",
        blank_in_labels: BlankInLabels = "reject",
        repeated_labels: RepeatedLabels = "keep",
        repeated_outputs: RepeatedOutputs = "merge",
    ) -> Options: ...

#: Labels and lengths, `[N, Lmax]` or `[ΣL]` with `[N]`; labels and their mask, both `[N, Lmax]`; or
#: sparse indices `[ΣL, 2]`, values `[ΣL]` and the dense shape.
_Labels = (
    tuple[NDArray[np.int32], NDArray[np.int32]]
    | tuple[NDArray[np.int32], NDArray[np.float32]]
    | tuple[NDArray[np.int64], NDArray[np.int32], tuple[int, int]]
)
#: Lengths `[N]`, or a mask `[N, T]` that is 1 after the last valid frame; None: all frames.
_Frames = NDArray[np.int32] | NDArray[np.float32] | None

@final
class Backend:
    def __new__(cls, name: str) -> Backend: ...
    def compute(
        self,
        values: Floats,
        labels: _Labels,
        options: Options,
        *,
        time_major: bool,
        frames: _Frames,
        weights: NDArray[np.float32] | None,
        grad: bool,
    ) -> tuple[Floats, Floats | None, float | None]: ...
    def set_cache_limits(self, pipelines: int, shapes: int) -> None: ...
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
        Status,
    ]
]: ...
def greedy(
    backend: Backend,
    values: NDArray[np.float32],
    options: Options,
    *,
    time_major: bool,
    frames: _Frames,
) -> list[tuple[list[int], list[tuple[int, int]], float, Status]]: ...
def beam(
    backend: Backend,
    values: NDArray[np.float32],
    options: Options,
    *,
    time_major: bool,
    frames: _Frames,
    width: int,
    top: int,
    max_classes: int | None,
    min_probability: float,
) -> list[list[tuple[list[int], float, float]] | None]: ...
def edit_counts(labels: list[int], hypothesis: list[int]) -> tuple[int, int, int, int]: ...
