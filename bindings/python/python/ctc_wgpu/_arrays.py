"""Converts arrays of any library for the native module, and adapts errors to the emulated API."""

from __future__ import annotations

import re
import sys
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

#: For each array with numbers that the native module's type cannot represent: the integers that
#: replace them, and the numbers themselves.
Substitutes = list[tuple[np.ndarray, np.ndarray]]


class Conventions(NamedTuple):
    """How an emulated API differs from `ctc_wgpu.ctc_loss`. It is hashable, as JAX requires."""

    #: Pairs of an argument name of `ctc_wgpu.ctc_loss`, or a phrase of a message, and the text that
    #: replaces it in errors.
    names: tuple[tuple[str, str], ...] = ()
    #: True if labels and lengths may be floats whose values are integers.
    whole_floats: bool = False


#: The rule that a number breaks, at the end of the native module's errors.
OUT_OF_RANGE = r" is out of range:.*"


class ErrorsFor:
    """A context in which a `TypeError` or `ValueError` uses the argument names of `conventions`.

    Entering it returns the list of substitutes for `integers`; errors contain the original numbers
    instead of these.
    """

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.substitutes: Substitutes = []

    def __enter__(self) -> Substitutes:
        return self.substitutes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if kind is TypeError or kind is ValueError:
            message = _with_original_numbers(str(error), self.substitutes)
            raise kind(_renamed(message, self.conventions)) from None


def _with_original_numbers(message: str, substitutes: Substitutes) -> str:
    for codes, numbers in substitutes:
        for code, number in zip(codes, numbers, strict=True):
            if str(code) in message:
                whole = number % 1 == 0  # False for NaN.
                message = message.replace(str(code), str(int(number) if whole else number))
                if not whole:
                    message = re.sub(OUT_OF_RANGE, " is not an integer", message)
    return message


def _renamed(message: str, conventions: Conventions) -> str:
    names = dict(conventions.names)
    if not names:
        return message
    longest_first = sorted(names, key=len, reverse=True)
    words = (
        rf"\b{re.escape(name)}\b" if name.isidentifier() else re.escape(name)
        for name in longest_first
    )
    return re.sub("|".join(words), lambda found: names[found[0]], message)


def array(name: str, value: Any) -> np.ndarray:
    """Converts `value` to a numpy array, without a copy if it can export its memory."""
    if type(value) is np.ndarray:
        return value
    if _masked(value):
        raise ValueError(
            f"{name} is a masked array, whose mask would be ignored: pass its `.data`, and lengths "
            "for the valid part"
        )
    if isinstance(value, np.ndarray):
        # A subclass, such as a masked array without a masked element, has arithmetic of its own.
        return np.asarray(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.layout is torch.strided:
        value = numpy_compatible(value)
    if _exports_to_host(name, value):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError):
            pass  # A type that numpy lacks, for example: np.asarray converts it or reports why not.
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} is not an array with rows of equal length: pad the rows and pass lengths "
            f"({error})"
        ) from None
    except (RuntimeError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None


def _masked(value: Any) -> bool:
    """Returns whether an element is masked, at any depth of nested lists."""
    if isinstance(value, (list, tuple)):
        return any(map(_masked, value))
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def flag(name: str, value: Any) -> bool:
    """Converts `value` to a bool. A string such as "False" is an error, because it is true.

    Raises:
        TypeError: `value` is neither True nor False, nor 0 or 1.
    """
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, Integral) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name}={value!r}: must be True or False")


def numpy_compatible(tensor: Any) -> Any:
    """Converts a PyTorch tensor to a type that numpy supports, and applies a pending negation.

    A view such as `x.conj().imag` is negated lazily, by a bit that numpy would ignore.
    """
    if tensor.is_floating_point() and (tensor.itemsize == 1 or str(tensor.dtype) == "torch.bfloat16"):
        tensor = tensor.float()
    return tensor.resolve_neg()


#: DLPack's numbers of the devices whose memory the CPU can read: the CPU, pinned memory of CUDA and
#: ROCm, and CUDA's managed memory.
HOST = (1, 3, 11, 13)

#: TensorFlow's types whose elements are not plain memory.
TENSORFLOW_OBJECTS = ("string", "resource", "variant")


def _exports_to_host(name: str, value: Any) -> bool:
    """Returns whether numpy can read the object's own memory by DLPack."""
    if not hasattr(value, "__dlpack__"):
        return False
    if getattr(getattr(value, "dtype", None), "name", None) in TENSORFLOW_OBJECTS:
        return False  # TensorFlow would abort the process.
    try:
        device = int(value.__dlpack_device__()[0])
    except (BufferError, RuntimeError, TypeError, ValueError):
        return False  # DLPack has no number for the device.
    if device not in HOST and not hasattr(value, "__array__"):
        raise TypeError(
            f"{name} is in the memory of another device (DLPack device type {device}): copy it to "
            "the CPU first"
        )
    return device in HOST


def is_float(dtype: np.dtype[Any]) -> bool:
    """Returns whether this is a floating-point type, including bfloat16 of ml_dtypes."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def floats(name: str, value: Any, dtype: Any, ndim: int) -> np.ndarray:
    """Converts `value` to an array of floating-point numbers.

    With a `dtype`, the result has that type and is contiguous and aligned.
    """
    values = array(name, value)
    if not is_float(values.dtype):
        raise TypeError(f"{name} is an array of {values.dtype}: must contain floating-point numbers")
    _check_rank(name, values, ndim)
    return values if dtype is None else np.require(values, dtype, ("C", "A"))


def weights_of(value: Any) -> np.ndarray:
    """Converts weights, one per item, to float32, and raises if one of them is out of its range."""
    original = floats("weights", value, None, 1)
    if original.dtype == np.float32:
        return np.require(original, None, ("C", "A"))
    with np.errstate(over="ignore", under="ignore"):
        weights = original.astype(np.float32)
    lost = np.isfinite(original) & (np.isinf(weights) | ((weights == 0) & (original != 0)))
    if lost.any():
        item = int(lost.argmax())
        raise ValueError(
            f"weights: item {item}: weight {original[item]} is out of the range of float32"
        )
    return weights


def integers(
    name: str,
    value: Any,
    ndim: int | None,
    substitutes: Substitutes,
    dtype: type[np.signedinteger] = np.int32,
    whole_floats: bool = False,
) -> np.ndarray:
    """Converts `value` to an array of integers, contiguous and aligned.

    A number that `dtype` cannot represent is replaced by an integer near the ends of its range,
    which is neither a valid length nor a valid class; in padding it does no harm. With
    `whole_floats`, floats are accepted too.
    """
    values = array(name, value)
    # numpy converts lists with integers of more than 64 bits to floats or objects.
    large = values.size > 0 and values.dtype.kind in "fO" and isinstance(value, (list, tuple))
    if large:
        objects = np.array(value, object)
        large = all(isinstance(number, Integral) for number in objects.flat)
        values = objects if large else values
    floating = whole_floats and is_float(values.dtype)
    if values.dtype.kind not in "iu" and not floating and not large:
        if values.size:
            raise TypeError(f"{name} is an array of {values.dtype}: must contain integers")
        values = values.astype(dtype)  # numpy gives an empty list the type float64.
    if ndim is not None:
        _check_rank(name, values, ndim)
    if values.dtype != dtype and not np.can_cast(values.dtype, dtype):
        values = _substituted(values, np.iinfo(dtype), substitutes)
    return np.require(values, dtype, ("C", "A"))


def _substituted(values: np.ndarray, limits: Any, substitutes: Substitutes) -> np.ndarray:
    """Replaces numbers that are out of range or not integers, and records them in `substitutes`."""
    with np.errstate(invalid="ignore"):
        if values.dtype.kind in "iuO":
            outside = (values < limits.min) | (values > limits.max)
        else:
            values = values.astype(np.float64)
            outside = ~((values >= limits.min) & (values <= limits.max) & (values % 1 == 0))
        if not outside.any():
            return values
        numbers, which = np.unique(values[outside], return_inverse=True)
        first = sum(len(codes) for codes, _ in substitutes)
        steps = np.arange(first, first + len(numbers))
        codes = np.where(numbers < 0, limits.min + steps, limits.max - steps)
        substitutes.append((codes, numbers))
        result = np.where(outside, 0, values).astype(limits.dtype)
    result[outside] = codes[which.reshape(-1)]
    return result


def _check_rank(name: str, values: np.ndarray, ndim: int) -> None:
    if values.ndim != ndim:
        axes = "axis" if ndim == 1 else "axes"
        raise ValueError(f"{name} has shape {values.shape}: must have {ndim} {axes}")
