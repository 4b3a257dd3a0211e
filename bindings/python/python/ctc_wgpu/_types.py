"""Types of the public arguments and results."""

from typing import Any, Literal, Protocol, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SupportsDLPack(Protocol):
    """An array of any library that exports its memory by DLPack."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


#: An array of numpy or of any other library, or nested sequences of numbers.
Array = Union[ArrayLike, SupportsDLPack]

Floats = Union[NDArray[np.float32], NDArray[np.float64]]

#: An array `[N]` of losses, or a float with a reduction. With `Any`, type checkers accept both uses
#: without a cast.
Loss = Union[Floats, Any]

Input = Literal["logits", "log_probs", "log_probs_exact", "probs"]
Layout = Literal["ntc", "tnc"]
Reduction = Literal["none", "sum", "mean_batch", "mean_label", "mean_volume", "mean_weighted"]
Impossible = Literal["inf", "zero", "error"]
BlankInLabels = Literal["reject", "allow"]
RepeatedLabels = Literal["keep", "collapse"]
RepeatedOutputs = Literal["merge", "distinct"]
Status = Literal["ok", "impossible", "not finite"]
