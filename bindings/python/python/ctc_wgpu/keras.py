"""CTC in Keras 3, on its TensorFlow, PyTorch and JAX backends: `CTC` for `model.compile`, `CTCLayer` for labels that are an input,
and `ctc_batch_cost` and `ctc_decode` with the signatures that Keras 2 had.

Labels are integers from 0 on, or those numbers as floats; losses are float32 whatever the predictions are. With TensorFlow say `jit_compile=False` where XLA would be used: the loss is
computed on the host, or on a GPU through the host.
"""

from __future__ import annotations

import importlib
import operator
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from ._arrays import Caller, array, ErrorsFor, flag, integers
from ._core import Options
from ._decode import beam_decode, greedy_decode

try:
    # JAX's arrays take no attribute; Keras keeps their masks beside them, and has no public name for where.
    from keras.src.backend import get_keras_mask
except ImportError:

    def get_keras_mask(x):
        return getattr(x, "_keras_mask", None)


ADAPTERS = {"tensorflow": "tf", "torch": "torch", "jax": "jax"}

INT32 = np.iinfo(np.int32)


def _caller(labels: str, *more: tuple[str, str]) -> Caller:
    """What the functions and classes below call differently."""
    names = [(f"labels{then}", f"{labels}{then}") for then in (":", " is ", " has ")]
    names += [("logits", "y_pred"), ('; blank_in_labels="allow" permits it', ", which among labels is none")]
    return Caller((*names, *more), whole_floats=True)


#: What the readers say of raw scores, where only probabilities are taken.
AFTER_SOFTMAX = "y_pred must be probabilities, after a softmax"
NOT_PROBABILITIES = (
    ("pass log-probabilities as such, and raw scores as logits", AFTER_SOFTMAX),
    ("the exponentials of its first frame's log-probabilities", "the probabilities of its first frame"),
    ("apply log_softmax, or pass raw scores as logits", AFTER_SOFTMAX),
)

LENGTHS = ("logit_lengths", "input_length"), ("label_lengths", "label_length")

__all__ = ["CTC", "CTCLayer", "ctc_batch_cost", "ctc_decode"]


def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any, *, backend: str = "auto") -> Any:
    """`keras.backend.ctc_batch_cost` of Keras 2: the same arguments and results.

    Args:
        y_true: labels `[N, Lmax]`; what stands past an item's length is not looked at.
        y_pred: probabilities `[N, T, C]` after a softmax, the blank last. ε = `keras.config.epsilon()` is added to each.
        input_length: `[N, 1]`, how many frames of each item count.
        label_length: `[N, 1]`.
        backend: as of `ctc_wgpu.ctc_loss`; not Keras's.

    Returns:
        Losses `[N, 1]`, float32.
    """
    choices = _choices(from_logits=False, blank=-1, impossible="inf", epsilon=keras.config.epsilon())
    given = _tensor("y_true", y_true), _tensor("input_length", input_length), _tensor("label_length", label_length)
    loss = _losses(y_pred, *given, choices, backend, _caller("y_true", *LENGTHS))
    return ops.expand_dims(loss, 1)


def ctc_decode(y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1) -> tuple[list[Any], Any]:
    """`keras.backend.ctc_decode` of Keras 2: the same arguments and results. It runs on the CPU.

    By beam search a doubled letter stays two, of which Keras 2 made one (TensorFlow's old `merge_repeated`).

    Args:
        y_pred: probabilities `[N, T, C]` after a softmax, the blank last. ε = `keras.config.epsilon()` is added to each.
        input_length: `[N]` or `[N, 1]`, how many frames of each item count.
        greedy: whether the likeliest path is read, else the likeliest labels, over all their paths, are searched for.
        beam_width: how many prefixes the search keeps after each frame.
        top_paths: how many of the likeliest it gives; at most `beam_width`.

    Returns:
        A list of one tensor, or of `top_paths`, the likeliest first: labels `[N, T]`, with −1 after the last. And `[N, 1]`, −Σ ln(p + ε)
        of the likeliest path; or of the search ln p(labels), `[N, top_paths]`, −inf where there are not so many labels to be found. An item
        with a NaN reads nothing, and its number is NaN. These numbers are float32.

    Raises:
        ValueError: a length or an argument breaks a rule. From a graph it comes as an error of the library under Keras.
    """
    greedy = flag("greedy", greedy)
    if not greedy and not 1 <= top_paths <= beam_width:
        raise ValueError(f"top_paths={top_paths}, beam_width={beam_width}: must be 1 <= top_paths <= beam_width")
    y_pred = ops.convert_to_tensor(y_pred)
    paths = 1 if greedy else top_paths
    read = partial(_read, greedy=greedy, width=beam_width, paths=paths, epsilon=keras.config.epsilon())
    shapes = (paths, *y_pred.shape[:2]), (y_pred.shape[0], paths)
    given = ops.cast(y_pred, "float32"), ops.reshape(_tensor("input_length", input_length), (-1,))
    labels, numbers = _adapter(_under()).on_host(read, shapes, *given)
    return [labels[path] for path in range(paths)], numbers


def _read(y_pred, lengths, *, greedy, width, paths, epsilon):
    """Labels `[paths, N, T]` and their numbers `[N, paths]`, as numpy's arrays."""
    with ErrorsFor(Caller((*LENGTHS, *NOT_PROBABILITIES))) as stand_ins:
        lengths = integers("logit_lengths", lengths, 1, stand_ins, whole_floats=True)
        if greedy:
            if (y_pred < 0).any():  # Raises where those count: of their logarithms only NaN would be left.
                greedy_decode(y_pred, lengths, blank=-1, input="probs", epsilon=epsilon)
            # The likeliest path's number is of ln(p + ε) as it is; what is searched for sums over
            # paths, and is normalised.
            with np.errstate(invalid="ignore", divide="ignore"):
                log_probs = np.log(y_pred + np.float32(epsilon))
            readings = greedy_decode(log_probs, lengths, blank=-1, input="log_probs")
            found = [[(reading.labels, reading.score)] for reading in readings]
        else:
            items = beam_decode(y_pred, lengths, width=width, top=paths, blank=-1, input="probs", epsilon=epsilon)
            found = [[(one.labels, -one.loss) for one in item] or [([], np.nan)] * paths for item in items]
    labels = np.full((paths, *y_pred.shape[:2]), -1, np.int64)
    numbers = np.full((len(found), paths), -np.inf, np.float32)
    for item, candidates in enumerate(found):
        for path, (read, number) in enumerate(candidates):
            labels[path, item, : len(read)] = read
            numbers[item, path] = number
    return labels, numbers


class _Configured:
    """What `CTC` and `CTCLayer` have in common: how labels and predictions are to be read."""

    def _configure(self, from_logits, blank, mask_value, zero_infinity, epsilon, backend):
        self.from_logits = flag("from_logits", from_logits)
        self.blank = operator.index(blank)
        self.mask_value = operator.index(mask_value)
        self.zero_infinity = flag("zero_infinity", zero_infinity)
        self.epsilon = float(keras.config.epsilon() if epsilon is None else epsilon)
        self.backend = backend
        impossible = "zero" if self.zero_infinity else "inf"
        self._choices = _choices(from_logits=self.from_logits, blank=self.blank, impossible=impossible, epsilon=self.epsilon)

    def _configuration(self):
        return {
            "from_logits": self.from_logits,
            "blank": self.blank,
            "mask_value": self.mask_value,
            "zero_infinity": self.zero_infinity,
            "epsilon": self.epsilon,
            "backend": self.backend,
        }

    def _item_losses(self, caller, labels, y_pred, mask=None, frames=None, label_lengths=None):
        """Losses `[N]`; lengths that are not given are all frames that the mask has, and the labels before the padding."""
        labels, y_pred = _tensor("labels", labels), ops.convert_to_tensor(y_pred)
        if frames is not None:
            frames = ops.reshape(_tensor("input_length", frames), (-1,))
        if mask is not None:
            y_pred, frames = _unmasked(y_pred, mask, frames)
        elif frames is None:
            shape = ops.shape(y_pred)
            frames = ops.full((shape[0],), shape[1], dtype="int32")
        if label_lengths is None:
            self._check_mask_value(y_pred.shape[-1])
            label_lengths = ops.sum(ops.cast(ops.not_equal(labels, self.mask_value), "int32"), axis=-1)
        return _losses(y_pred, labels, frames, _tensor("label_length", label_lengths), self._choices, self.backend, caller)

    def _check_mask_value(self, classes):
        if classes is not None and 0 <= self.mask_value < classes and self.mask_value != self.blank % classes:
            raise ValueError(
                f"mask_value={self.mask_value} is one of {classes} classes: must be the blank, {self.blank % classes}, or no class"
            )


def _unmasked(y_pred, mask, frames):
    """Predictions with the frames that the mask has in front, in their order, and how many those are; of the first `frames` if
    they are given."""
    if None not in (mask.shape[1], y_pred.shape[1]) and mask.shape[1] != y_pred.shape[1]:
        raise ValueError(f"y_pred has {y_pred.shape[1]} frames, its mask {mask.shape[1]}: must be as many")
    mask = ops.cast(mask, "int32")
    places = ops.cumsum(ops.ones_like(mask), axis=1)
    if frames is not None:
        mask = mask * ops.cast(places <= ops.cast(frames, "int32")[:, None], "int32")
    # What is masked comes after all frames. No two numbers are equal, so that no sort can change
    # the order.
    order = ops.argsort(places + (1 - mask) * ops.shape(mask)[1], axis=1)
    return ops.take_along_axis(y_pred, order[:, :, None], axis=1), ops.sum(mask, axis=1)


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTC(_Configured, keras.losses.Loss):
    """The CTC loss for `model.compile(loss=ctc_wgpu.keras.CTC(…))` and `model.fit(x, labels)`.

    Without arguments it reads as `keras.losses.CTC` does: logits, and 0 as blank and as padding of the labels. After a softmax whose
    last class is the blank: `CTC(from_logits=False, blank=-1, mask_value=-1)`.

    `y_true` is `[N, Lmax]`: labels, then `mask_value` to the end. `y_pred` is `[N, T, C]`. Where it has a mask, as after a
    `Masking` layer, an item's frames are those where that is true, wherever they stand. Else all frames count.
    Keras multiplies `sample_weight` with the losses.

    Args:
        from_logits: whether `y_pred` are logits; else probabilities.
        blank: the blank's class; a negative one is counted from the end.
        mask_value: what the labels are padded with: the blank, or a number that is no class.
        zero_infinity: whether an item that no alignment fits costs 0, instead of inf, which makes the mean inf. Its gradient is
            0 either way.
        epsilon: added to probabilities; None: `keras.config.epsilon()`.
        backend: as of `ctc_wgpu.ctc_loss`; not Keras's.
        reduction, name, dtype: as of any loss of Keras; but a `dtype` of half precision is taken as float32, which alone holds
            the sums of a loss, and labels above 2048.
    """

    CALLER = _caller("y_true", ("label_lengths must not count it", "mask_value must be that number"))

    def __init__(
        self,
        *,
        from_logits: bool = True,
        blank: int = 0,
        mask_value: int = 0,
        zero_infinity: bool = False,
        epsilon: float | None = None,
        backend: str = "auto",
        reduction: str | None = "sum_over_batch_size",
        name: str = "ctc",
        dtype: Any = None,
    ) -> None:
        kind = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(name=name, reduction=reduction, dtype="float32" if kind in ("float16", "bfloat16") else kind)
        self._configure(from_logits, blank, mask_value, zero_infinity, epsilon, backend)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if sample_weight is not None:
            shape = tuple(sample_weight.shape if hasattr(sample_weight, "shape") else np.shape(sample_weight))
            # Any other would be broadcast, with every item's loss times every weight.
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise ValueError(f"sample_weight has shape {shape}: must be one number an item, [N] or [N, 1]")
        y_true = _tensor("y_true", y_true)
        mask = get_keras_mask(y_pred)
        if mask is not None:
            # Keras would take it for a weight of each frame. An item's losses are one number, of its frames that count.
            y_true = (y_true, mask)
            y_pred = y_pred + 0
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses `[N]`. `y_true` may be labels and the mask of the frames."""
        labels, mask = y_true if isinstance(y_true, (tuple, list)) else (y_true, None)
        return self._item_losses(self.CALLER, labels, y_pred, mask)

    def get_config(self) -> dict:
        """All arguments."""
        return {**super().get_config(), **self._configuration()}


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTCLayer(_Configured, keras.layers.Layer):
    """A layer that adds the loss by `add_loss` and passes predictions on: `CTCLayer()(labels, y_pred)`, with the labels a second `Input`.

    `CTCLayer()(labels, y_pred, input_length, label_length)` has lengths `[N]` or `[N, 1]` as inputs too; either may be None. Where
    `y_pred` has a mask, it counts as in `CTC`, among the first `input_length` frames if those are given too. The model is compiled
    without a loss.

    It reads as `ctc_batch_cost` does unless told otherwise: probabilities after a softmax, the blank last; labels are padded with −1 where
    there are no label lengths. The arguments are those of `CTC`. The loss added is the mean over the batch.
    """

    CALLER = _caller("labels", *LENGTHS)

    def __init__(
        self,
        *,
        from_logits: bool = False,
        blank: int = -1,
        mask_value: int = -1,
        zero_infinity: bool = False,
        epsilon: float | None = None,
        backend: str = "auto",
        **kwargs: Any,
    ) -> None:
        # Half a float's digits would not hold labels that come as floats.
        super().__init__(autocast=False, **kwargs)
        self._configure(from_logits, blank, mask_value, zero_infinity, epsilon, backend)
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.supports_masking = True

    def call(self, labels: Any, y_pred: Any, input_length: Any = None, label_length: Any = None) -> Any:
        """Predictions as they came."""
        losses = self._item_losses(self.CALLER, labels, y_pred, get_keras_mask(y_pred), input_length, label_length)
        self.add_loss(ops.mean(losses))
        return y_pred

    def compute_output_shape(
        self, labels_shape: Any, y_pred_shape: Any, input_length_shape: Any = None, label_length_shape: Any = None
    ) -> Any:
        """That of the predictions."""
        return y_pred_shape

    def get_config(self) -> dict:
        """All arguments."""
        return {**super().get_config(), **self._configuration()}


def _choices(*, from_logits, blank, impossible, epsilon):
    """As pairs, which JAX can hash."""
    choices = {"input": "logits" if from_logits else "probs", "blank": blank, "impossible": impossible}
    if not from_logits:
        choices["epsilon"] = epsilon
    return tuple(choices.items())


def _tensor(name, value):
    """As it is; the host looks at each number."""
    if not ops.is_tensor(value):
        value = array(name, value)
        if value.dtype.kind not in "iuf":
            raise TypeError(f"{name} is an array of {value.dtype}: must be of integers")
        if value.dtype.kind in "iu":
            # JAX would cut what 32 bits do not hold. A float of that size is no class either.
            value = value.astype(np.int32 if ((value >= INT32.min) & (value <= INT32.max)).all() else np.float64)
    return ops.convert_to_tensor(value)


def _losses(y_pred, labels, frames, label_lengths, choices, backend, caller):
    """Losses `[N]`, by the adapter of the library under Keras."""
    y_pred = ops.convert_to_tensor(y_pred)
    frames, label_lengths = ops.reshape(frames, (-1,)), ops.reshape(label_lengths, (-1,))
    under = _under()
    adapter = _adapter(under)
    if under == "jax":
        return adapter.apply(choices, backend, caller, y_pred, (labels, label_lengths), frames)
    options = Options(**dict(choices))
    if under == "torch":
        return adapter.apply(y_pred, labels, frames, label_lengths, options, layout="ntc", backend=backend, caller=caller)
    return adapter.apply(y_pred, (labels, label_lengths), frames, options, layout="ntc", backend=backend, caller=caller)


def _under():
    """The library under Keras, by the name of its adapter here."""
    name = keras.backend.backend()
    if name not in ADAPTERS:
        raise RuntimeError(f"Keras runs on {name}: must be {', '.join(ADAPTERS)}")
    return ADAPTERS[name]


def _adapter(name):
    return importlib.import_module(f"{__package__}.{name}")
