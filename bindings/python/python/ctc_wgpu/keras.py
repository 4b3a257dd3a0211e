"""CTC in Keras 3, on its TensorFlow, PyTorch and JAX backends: `CTC` for `model.compile`, `CTCLayer` for labels that are an input,
and `ctc_batch_cost` and `ctc_decode` with the signatures that Keras 2 had.

Labels are integers from 0 on, or those numbers as floats. With TensorFlow say `jit_compile=False` where XLA would be used: the loss is
computed on the host, or on a GPU through the host.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from ._core import Options
from ._decode import beam_decode, greedy_decode

try:
    # JAX's arrays take no attribute; Keras keeps their masks beside them, and has no public name for where.
    from keras.src.backend import get_keras_mask
except ImportError:

    def get_keras_mask(x):
        return getattr(x, "_keras_mask", None)


ADAPTERS = {"tensorflow": "tf", "torch": "torch", "jax": "jax"}

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
        Losses `[N, 1]`.
    """
    choices = _choices(from_logits=False, blank=-1, impossible="inf", epsilon=keras.config.epsilon())
    loss = _losses(y_pred, _integers(y_true), _integers(input_length), _integers(label_length), choices, backend)
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
        with a NaN reads nothing, and its number is NaN.

    Raises:
        ValueError: a length or an argument breaks a rule. From a graph it comes as an error of the library under Keras.
    """
    if not greedy and not 1 <= top_paths <= beam_width:
        raise ValueError(f"top_paths={top_paths}, beam_width={beam_width}: must be 1 <= top_paths <= beam_width")
    y_pred = ops.convert_to_tensor(y_pred)
    paths = 1 if greedy else top_paths
    read = partial(_read, greedy=greedy, width=beam_width, paths=paths, epsilon=keras.config.epsilon())
    shapes = (paths, *y_pred.shape[:2]), (y_pred.shape[0], paths)
    given = ops.cast(y_pred, "float32"), ops.reshape(_integers(input_length), (-1,))
    labels, numbers = _adapter(_under()).on_host(read, shapes, *given)
    return [labels[path] for path in range(paths)], ops.cast(numbers, y_pred.dtype)


def _read(y_pred, lengths, *, greedy, width, paths, epsilon):
    """Labels `[paths, N, T]` and their numbers `[N, paths]`, as numpy's arrays."""
    if greedy:
        # The likeliest path's number is of ln(p + ε) as it is; what is searched for sums over paths, and is normalised.
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
        self.from_logits = bool(from_logits)
        self.blank = int(blank)
        self.mask_value = int(mask_value)
        self.zero_infinity = bool(zero_infinity)
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

    def _item_losses(self, labels, y_pred, frames=None, label_lengths=None):
        """Losses `[N]`; lengths that are not given are all frames, and the labels before the padding."""
        labels = _integers(labels)
        if frames is None:
            shape = ops.shape(y_pred)
            frames = ops.full((shape[0],), shape[1], dtype="int32")
        if label_lengths is None:
            label_lengths = ops.sum(ops.cast(ops.not_equal(labels, self.mask_value), "int32"), axis=-1)
        return _losses(y_pred, labels, _integers(frames), _integers(label_lengths), self._choices, self.backend)


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTC(_Configured, keras.losses.Loss):
    """The CTC loss for `model.compile(loss=ctc_wgpu.keras.CTC(…))` and `model.fit(x, labels)`.

    Without arguments it reads as `keras.losses.CTC` does: logits, and 0 as blank and as padding of the labels. After a softmax whose
    last class is the blank: `CTC(from_logits=False, blank=-1, mask_value=-1)`.

    `y_true` is `[N, Lmax]`: labels, then `mask_value` to the end. `y_pred` is `[N, T, C]`. Where it has a mask, as after a
    `Masking` layer, an item's frames are as many as that has true: those that count must come first. Else all frames count.
    Keras multiplies `sample_weight` with the losses.

    Args:
        from_logits: whether `y_pred` are logits; else probabilities.
        blank: the blank's class; a negative one is counted from the end.
        mask_value: what the labels are padded with: the blank, or a number that is no class.
        zero_infinity: whether an item that no alignment fits costs 0, instead of inf, which makes the mean inf. Its gradient is
            0 either way.
        epsilon: added to probabilities; None: `keras.config.epsilon()`.
        backend: as of `ctc_wgpu.ctc_loss`; not Keras's.
        reduction, name, dtype: as of any loss of Keras.
    """

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
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._configure(from_logits, blank, mask_value, zero_infinity, epsilon, backend)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mask = get_keras_mask(y_pred)
        if mask is not None:
            # Keras would take it for a weight of each frame. An item's losses are one number, of its frames that count.
            y_true = (y_true, ops.sum(ops.cast(mask, "int32"), axis=-1))
            y_pred = y_pred + 0
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses `[N]`. `y_true` may be labels and the numbers of frames."""
        labels, frames = y_true if isinstance(y_true, (tuple, list)) else (y_true, None)
        return self._item_losses(labels, y_pred, frames)

    def get_config(self) -> dict:
        """All arguments."""
        return {**super().get_config(), **self._configuration()}


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTCLayer(_Configured, keras.layers.Layer):
    """A layer that adds the loss by `add_loss` and passes predictions on: `CTCLayer()(labels, y_pred)`, with the labels a second `Input`.

    `CTCLayer()(labels, y_pred, input_length, label_length)` has lengths `[N]` or `[N, 1]` as inputs too; either may be None. Where
    `y_pred` has a mask and `input_length` is None, it counts as in `CTC`. The model is compiled without a loss.

    It reads as `ctc_batch_cost` does unless told otherwise: probabilities after a softmax, the blank last; labels are padded with −1 where
    there are no label lengths. The arguments are those of `CTC`. The loss added is the mean over the batch.
    """

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
        mask = get_keras_mask(y_pred)
        if input_length is None and mask is not None:
            input_length = ops.sum(ops.cast(mask, "int32"), axis=-1)
        self.add_loss(ops.mean(self._item_losses(labels, y_pred, input_length, label_length)))
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


def _integers(values):
    return ops.cast(ops.convert_to_tensor(values), "int32")


def _losses(y_pred, labels, frames, label_lengths, choices, backend):
    """Losses `[N]`, by the adapter of the library under Keras."""
    y_pred = ops.convert_to_tensor(y_pred)
    frames, label_lengths = ops.reshape(frames, (-1,)), ops.reshape(label_lengths, (-1,))
    under = _under()
    adapter = _adapter(under)
    if under == "jax":
        return adapter.apply(choices, backend, y_pred, (labels, label_lengths), frames)
    options = Options(**dict(choices))
    if under == "torch":
        return adapter.apply(y_pred, labels, frames, label_lengths, options, layout="ntc", backend=backend)
    return adapter.apply(y_pred, (labels, label_lengths), frames, options, layout="ntc", backend=backend)


def _under():
    """The library under Keras, by the name of its adapter here."""
    name = keras.backend.backend()
    if name not in ADAPTERS:
        raise RuntimeError(f"Keras runs on {name}: must be {', '.join(ADAPTERS)}")
    return ADAPTERS[name]


def _adapter(name):
    return importlib.import_module(f"{__package__}.{name}")
