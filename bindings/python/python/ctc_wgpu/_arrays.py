"""Arrays of any library made what the native module takes, and errors in the words of the caller's library."""

from __future__ import annotations

import re
import sys
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

#: For each array with numbers that the native module cannot hold: what stands for them, and they
#: themselves.
StandIns = list[tuple[np.ndarray, np.ndarray]]


class Caller(NamedTuple):
    """What the library that is called for does differently. It can be hashed, as JAX needs it."""

    #: What it calls an argument, after what `ctc_wgpu.ctc_loss` calls it. A phrase of a message may
    #: stand for a name.
    names: tuple[tuple[str, str], ...] = ()
    #: Whether labels and lengths may be floats that are whole numbers.
    whole_floats: bool = False


class ErrorsFor:
    """Within it a `TypeError` or `ValueError` names arguments as `caller` does, and numbers as they were given. It gives the
    list that `integers` needs for that."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.stand_ins: StandIns = []

    def __enter__(self) -> StandIns:
        return self.stand_ins

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is TypeError or kind is ValueError:
            raise kind(_renamed(_as_given(str(error), self.stand_ins), self.caller)) from None


def _as_given(text: str, stand_ins: StandIns) -> str:
    for code, number in ((code, number) for codes, numbers in stand_ins for code, number in zip(codes, numbers, strict=True)):
        if str(code) in text:
            whole = number % 1 == 0  # Nor is NaN.
            text = text.replace(str(code), str(int(number) if whole else number))
            if not whole:
                text = re.sub(r" is (negative|not below|not within).*", " is not an integer", text)
    return text


def _renamed(text: str, caller: Caller) -> str:
    names = dict(caller.names)
    if not names:
        return text
    longest_first = sorted(names, key=len, reverse=True)
    words = (rf"\b{re.escape(name)}\b" if name.isidentifier() else re.escape(name) for name in longest_first)
    return re.sub("|".join(words), lambda found: names[found[0]], text)


def array(name: str, value: Any) -> np.ndarray:
    """Without a copy where the object has numpy's memory, or a protocol to lend its own."""
    if type(value) is np.ndarray:
        return value
    if _masked(value):
        raise ValueError(f"{name} is a masked array, and its mask says nothing here: give its `.data`, and lengths for what counts")
    if isinstance(value, np.ndarray):
        return np.asarray(value)  # A subclass, as a masked array without a masked element, computes in its own way.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.layout is torch.strided:
        value = as_numpy_has_it(value)
    if _lends_to_host(name, value):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError):
            pass  # For instance a type that numpy lacks: np.asarray converts, or says better what is wrong.
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array, whose rows are of one length: pad them, and give lengths ({error})") from None
    except (RuntimeError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None


def _masked(value: Any) -> bool:
    """Whether an element is masked, however deep in lists."""
    if isinstance(value, (list, tuple)):
        return any(map(_masked, value))
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def flag(name: str, value: Any) -> bool:
    """True or False. Of a string, such as "False", every other reading is a guess.

    Raises:
        TypeError: it is neither, and not 0 or 1.
    """
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, Integral) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name}={value!r}: must be True or False")


def as_numpy_has_it(tensor: Any) -> Any:
    """A tensor of PyTorch in a type that numpy has, and without the bit that makes a view negative,
    as in `x.conj().imag`: numpy would look at the memory behind it."""
    if tensor.is_floating_point() and (tensor.itemsize == 1 or str(tensor.dtype) == "torch.bfloat16"):
        tensor = tensor.float()
    return tensor.resolve_neg()


#: DLPack's numbers of what lies in host memory: the CPU, pinned for CUDA or ROCm, and CUDA's
#: managed memory.
HOST = (1, 3, 11, 13)

#: TensorFlow's types whose elements are not plain memory.
TENSORFLOW_OBJECTS = ("string", "resource", "variant")


def _lends_to_host(name: str, value: Any) -> bool:
    """Whether numpy can look at the object's own memory by DLPack."""
    if not hasattr(value, "__dlpack__"):
        return False
    if getattr(getattr(value, "dtype", None), "name", None) in TENSORFLOW_OBJECTS:
        return False  # TensorFlow would end the process.
    try:
        device = int(value.__dlpack_device__()[0])
    except (BufferError, RuntimeError, TypeError, ValueError):
        return False  # On a device that DLPack does not know.
    if device not in HOST and not hasattr(value, "__array__"):
        raise TypeError(f"{name} lies in the memory of another device, DLPack's type {device}: copy it to the CPU first")
    return device in HOST


def is_float(kind: np.dtype[Any]) -> bool:
    """Whether this is a type of floating-point numbers, ml_dtypes' bfloat16 among them."""
    return kind.kind == "f" or kind.name == "bfloat16"


def floats(name: str, value: Any, dtype: Any, ndim: int) -> np.ndarray:
    """Any floating-point numbers; of `dtype`, contiguous and aligned, if one is given."""
    values = array(name, value)
    if not is_float(values.dtype):
        raise TypeError(f"{name} is an array of {values.dtype}: must be of floating-point numbers")
    _rank(name, values, ndim)
    return values if dtype is None else np.require(values, dtype, ("C", "A"))


def weights_of(value: Any) -> np.ndarray:
    """Weights, one an item: float32, which must hold each."""
    given = floats("weights", value, None, 1)
    if given.dtype == np.float32:
        return np.require(given, None, ("C", "A"))
    with np.errstate(over="ignore", under="ignore"):
        weights = given.astype(np.float32)
    lost = np.isfinite(given) & (np.isinf(weights) | ((weights == 0) & (given != 0)))
    if lost.any():
        item = int(lost.argmax())
        raise ValueError(f"weights: item {item}: weight {given[item]} is out of the range of float32")
    return weights


def integers(
    name: str, value: Any, ndim: int | None, stand_ins: StandIns, dtype: type[np.signedinteger] = np.int32, whole_floats: bool = False
) -> np.ndarray:
    """Any integers, and if asked for floats that are whole numbers.

    What `dtype` does not hold becomes a number near its ends, which is no length and no class; in padding it may stand.
    """
    values = array(name, value)
    large = values.size > 0 and values.dtype.kind in "fO" and isinstance(value, (list, tuple))
    if large:  # As numpy makes them of integers that 64 bits do not hold.
        given = np.array(value, object)
        large = all(isinstance(number, Integral) for number in given.flat)
        values = given if large else values
    floating = whole_floats and is_float(values.dtype)
    if values.dtype.kind not in "iu" and not floating and not large:
        if values.size:
            raise TypeError(f"{name} is an array of {values.dtype}: must be of integers")
        values = values.astype(dtype)  # An empty list has no type of its own.
    if ndim is not None:
        _rank(name, values, ndim)
    if values.dtype != dtype and not np.can_cast(values.dtype, dtype):
        values = _held(values, np.iinfo(dtype), stand_ins)
    return np.require(values, dtype, ("C", "A"))


def _held(values: np.ndarray, limits: Any, stand_ins: StandIns) -> np.ndarray:
    """Those that lie within the limits and are whole numbers; for each other one what stands for it."""
    with np.errstate(invalid="ignore"):
        if values.dtype.kind in "iuO":
            outside = (values < limits.min) | (values > limits.max)
        else:
            values = values.astype(np.float64)
            outside = ~((values >= limits.min) & (values <= limits.max) & (values % 1 == 0))
        if not outside.any():
            return values
        numbers, which = np.unique(values[outside], return_inverse=True)
        first = sum(len(codes) for codes, _ in stand_ins)
        steps = np.arange(first, first + len(numbers))
        codes = np.where(numbers < 0, limits.min + steps, limits.max - steps)
        stand_ins.append((codes, numbers))
        held = np.where(outside, 0, values).astype(limits.dtype)
    held[outside] = codes[which.reshape(-1)]
    return held


def _rank(name: str, values: np.ndarray, ndim: int) -> None:
    if values.ndim != ndim:
        raise ValueError(f"{name} has shape {values.shape}: must have {ndim} {'axis' if ndim == 1 else 'axes'}")
