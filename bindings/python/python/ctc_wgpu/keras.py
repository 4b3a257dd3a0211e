"""CTC loss and decoding for Keras 3, on its TensorFlow, PyTorch and JAX backends.

`CTC` is a loss for `model.compile`, and `CTCLayer` adds the loss to a model that has the labels as
an input. `ctc_batch_cost` and `ctc_decode` have the signatures of Keras 2.

Labels are integers from 0, or floats with such values. Losses are float32 for predictions of any
type. With TensorFlow, pass `jit_compile=False` to `model.compile`: XLA cannot call the host, which
computes the loss or submits it to the GPU.

An invalid label or length raises a `ValueError` whose message contains the item, the value and the
rule. In a graph, it is an error of the backend of Keras whose text contains this message.
"""

from __future__ import annotations

import importlib
import operator
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from ._arrays import Conventions, ErrorsFor, array, flag, integers
from ._core import Options
from ._decode import beam_decode, greedy_decode

try:
    # JAX's arrays accept no attributes. Keras keeps their masks elsewhere and has no public
    # function for access to them.
    from keras.src.backend import get_keras_mask
except ImportError:

    def get_keras_mask(x):
        return getattr(x, "_keras_mask", None)


ADAPTERS = {"tensorflow": "tf", "torch": "torch", "jax": "jax"}

INT32 = np.iinfo(np.int32)


def _conventions(labels: str, *more: tuple[str, str]) -> Conventions:
    """Returns the conventions of a function or class, from its name for the labels."""
    names = [(f"labels{then}", f"{labels}{then}") for then in (":", " is ", " has ")]
    names += [
        ("logits", "y_pred"),
        ('; blank_in_labels="allow" permits it', ", which must not be among the labels"),
    ]
    return Conventions((*names, *more), whole_floats=True)


#: Replacements in the errors about raw scores, since `ctc_decode` takes only probabilities.
AFTER_SOFTMAX = "y_pred must be probabilities, after a softmax"
NOT_PROBABILITIES = (
    ("pass log-probabilities as such, and raw scores as logits", AFTER_SOFTMAX),
    (
        "the exponentials of its first frame's log-probabilities",
        "the probabilities of its first frame",
    ),
    ("apply log_softmax, or pass raw scores as logits", AFTER_SOFTMAX),
)

LENGTHS = ("logit_lengths", "input_length"), ("label_lengths", "label_length")

__all__ = ["CTC", "CTCLayer", "ctc_batch_cost", "ctc_decode"]


def ctc_batch_cost(
    y_true: Any, y_pred: Any, input_length: Any, label_length: Any, *, backend: str = "auto"
) -> Any:
    """Returns the losses, like `keras.backend.ctc_batch_cost` of Keras 2, with the same arguments.

    Args:
        y_true: labels `[N, Lmax]`; those past an item's length are never read.
        y_pred: probabilities `[N, T, C]` after a softmax; the last class is the blank.
            ε = `keras.config.epsilon()` is added to each.
        input_length: `[N, 1]`, the number of valid frames of each item.
        label_length: `[N, 1]`, the number of labels of each item.
        backend: as in `ctc_wgpu.ctc_loss`; not the backend of Keras.

    Returns:
        Losses `[N, 1]`, float32.
    """
    options = _options(
        from_logits=False, blank=-1, impossible="inf", epsilon=keras.config.epsilon()
    )
    labels = _tensor("y_true", y_true)
    frames = _tensor("input_length", input_length)
    label_lengths = _tensor("label_length", label_length)
    conventions = _conventions("y_true", *LENGTHS)
    loss = _losses(y_pred, labels, frames, label_lengths, options, backend, conventions)
    return ops.expand_dims(loss, 1)


def ctc_decode(
    y_pred: Any,
    input_length: Any,
    greedy: bool = True,
    beam_width: int = 100,
    top_paths: int = 1,
) -> tuple[list[Any], Any]:
    """Decodes predictions, like `keras.backend.ctc_decode` of Keras 2, with the same arguments.

    It runs on the CPU. The beam search keeps doubled letters, which Keras 2 merges (the old
    `merge_repeated` of TensorFlow).

    Args:
        y_pred: probabilities `[N, T, C]` after a softmax; the last class is the blank.
            ε = `keras.config.epsilon()` is added to each.
        input_length: `[N]` or `[N, 1]`, the number of valid frames of each item.
        greedy: True for the labels of the most probable path; False for a beam search for the most
            probable labels over all their paths.
        beam_width: the number of prefixes that the search keeps after each frame.
        top_paths: the number of hypotheses that the search returns; at most `beam_width`.

    Returns:
        A pair. The first element is a list with one tensor of labels per hypothesis, the most
        probable first: `[N, T]`, with −1 after the last label. The second is a float32 tensor of
        scores: −Σ ln(p + ε) of the most probable path, `[N, 1]`; or ln p(labels) of the hypotheses
        of the search, `[N, top_paths]`, which is −inf for those that do not exist. An item with a
        NaN has no labels, and its score is NaN.

    Raises:
        ValueError: a length or another argument is invalid. In a graph, it is an error of the
            backend of Keras.
    """
    greedy = flag("greedy", greedy)
    if not greedy and not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"top_paths={top_paths}, beam_width={beam_width}: must be 1 <= top_paths <= beam_width"
        )
    y_pred = ops.convert_to_tensor(y_pred)
    paths = 1 if greedy else top_paths
    decode = partial(
        _decode, greedy=greedy, width=beam_width, paths=paths, epsilon=keras.config.epsilon()
    )
    shapes = (paths, *y_pred.shape[:2]), (y_pred.shape[0], paths)
    lengths = ops.reshape(_tensor("input_length", input_length), (-1,))
    adapter = _adapter(_adapter_name())
    labels, scores = adapter.on_host(decode, shapes, ops.cast(y_pred, "float32"), lengths)
    return [labels[path] for path in range(paths)], scores


def _decode(y_pred, lengths, *, greedy, width, paths, epsilon):
    """Returns numpy arrays of the labels, `[paths, N, T]`, and of their scores, `[N, paths]`."""
    probabilities = {"blank": -1, "input": "probs", "epsilon": epsilon}
    with ErrorsFor(Conventions((*LENGTHS, *NOT_PROBABILITIES))) as substitutes:
        lengths = integers("logit_lengths", lengths, 1, substitutes, whole_floats=True)
        if greedy:
            if (y_pred < 0).any():
                # This call raises if the first frame of an item contains log-probabilities. Below,
                # the logarithms of negative numbers are NaN.
                greedy_decode(y_pred, lengths, **probabilities)
            # The score of the most probable path sums ln(p + ε) without normalisation. The beam
            # search normalises each frame, since it sums over paths.
            with np.errstate(invalid="ignore", divide="ignore"):
                log_probs = np.log(y_pred + np.float32(epsilon))
            results = greedy_decode(log_probs, lengths, blank=-1, input="log_probs")
            found = [[(result.labels, -result.log_prob)] for result in results]
        else:
            items = beam_decode(y_pred, lengths, width=width, top=paths, **probabilities)
            found = [
                [(hypothesis.labels, hypothesis.log_prob) for hypothesis in item]
                or [([], np.nan)] * paths
                for item in items
            ]
    labels = np.full((paths, *y_pred.shape[:2]), -1, np.int64)
    scores = np.full((len(found), paths), -np.inf, np.float32)
    for item, hypotheses in enumerate(found):
        for path, (decoded, score) in enumerate(hypotheses):
            labels[path, item, : len(decoded)] = decoded
            scores[item, path] = score
    return labels, scores


class _Configured:
    """The arguments that `CTC` and `CTCLayer` have in common."""

    def _configure(self, from_logits, blank, mask_value, zero_infinity, epsilon, backend):
        self.from_logits = flag("from_logits", from_logits)
        self.blank = operator.index(blank)
        self.mask_value = operator.index(mask_value)
        self.zero_infinity = flag("zero_infinity", zero_infinity)
        self.epsilon = float(keras.config.epsilon() if epsilon is None else epsilon)
        self.backend = backend
        self._options = _options(
            from_logits=self.from_logits,
            blank=self.blank,
            impossible="zero" if self.zero_infinity else "inf",
            epsilon=self.epsilon,
        )

    def _configuration(self):
        return {
            "from_logits": self.from_logits,
            "blank": self.blank,
            "mask_value": self.mask_value,
            "zero_infinity": self.zero_infinity,
            "epsilon": self.epsilon,
            "backend": self.backend,
        }

    def _item_losses(self, labels, y_pred, mask=None, frames=None, label_lengths=None):
        """Computes losses `[N]`.

        By default, the valid frames are those of the mask, or all, and the labels end at the
        padding.
        """
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
            valid = ops.not_equal(labels, self.mask_value)
            label_lengths = ops.sum(ops.cast(valid, "int32"), axis=-1)
        label_lengths = _tensor("label_length", label_lengths)
        return _losses(
            y_pred, labels, frames, label_lengths, self._options, self.backend, self.CONVENTIONS
        )

    def _check_mask_value(self, classes):
        if classes is None or not 0 <= self.mask_value < classes:
            return
        blank = self.blank % classes
        if self.mask_value != blank:
            raise ValueError(
                f"mask_value={self.mask_value} is one of {classes} classes: must be the blank, "
                f"{blank}, or not a class"
            )


def _unmasked(y_pred, mask, frames):
    """Moves the frames that the mask selects to the front, in their order.

    With `frames`, the mask selects only among that many first frames. Returns the predictions and
    the number of valid frames of each item.
    """
    if None not in (mask.shape[1], y_pred.shape[1]) and mask.shape[1] != y_pred.shape[1]:
        raise ValueError(
            f"y_pred has {y_pred.shape[1]} frames, its mask {mask.shape[1]}: must be equal"
        )
    mask = ops.cast(mask, "int32")
    positions = ops.cumsum(ops.ones_like(mask), axis=1)
    if frames is not None:
        mask = mask * ops.cast(positions <= ops.cast(frames, "int32")[:, None], "int32")
    # Masked frames come after all others. The keys are distinct, so that the order does not depend
    # on whether the sort is stable.
    order = ops.argsort(positions + (1 - mask) * ops.shape(mask)[1], axis=1)
    return ops.take_along_axis(y_pred, order[:, :, None], axis=1), ops.sum(mask, axis=1)


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTC(_Configured, keras.losses.Loss):
    """The CTC loss for `model.compile(loss=ctc_wgpu.keras.CTC(…))` and `model.fit(x, labels)`.

    The default arguments are those of `keras.losses.CTC`: logits, and class 0 as the blank and the
    padding of labels. After a softmax whose last class is the blank, use
    `CTC(from_logits=False, blank=-1, mask_value=-1)`.

    `y_true` is `[N, Lmax]`: labels, then `mask_value` to the end. `y_pred` is `[N, T, C]`. If it
    has a mask, as after a `Masking` layer, the valid frames of an item are those where the mask is
    true, at any position; otherwise all frames are valid. Keras multiplies the losses by
    `sample_weight`.

    Args:
        from_logits: whether `y_pred` is logits; otherwise it is probabilities.
        blank: the class of the blank; a negative one counts from the end.
        mask_value: the padding of the labels: the blank, or a number that is not a class.
        zero_infinity: whether the loss of an item without a valid alignment is 0 instead of inf. A
            single loss of inf makes the mean of the batch inf. The gradient of such an item is 0 in
            both cases.
        epsilon: added to probabilities; None: `keras.config.epsilon()`.
        backend: as in `ctc_wgpu.ctc_loss`; not the backend of Keras.
        reduction, name, dtype: as in any loss of Keras, except that a `dtype` of half precision is
            replaced by float32, because half precision can represent neither the sums of losses nor
            labels above 2048.
    """

    CONVENTIONS = _conventions(
        "y_true", ("label_lengths must not count it", "mask_value must be that number")
    )

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
        dtype = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        if dtype in ("float16", "bfloat16"):
            dtype = "float32"
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._configure(from_logits, blank, mask_value, zero_infinity, epsilon, backend)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if sample_weight is not None:
            shape = getattr(sample_weight, "shape", None)
            shape = tuple(np.shape(sample_weight) if shape is None else shape)
            # Another shape would broadcast every item's loss over every weight.
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise ValueError(
                    f"sample_weight has shape {shape}: must be one number per item, [N] or [N, 1]"
                )
        y_true = _tensor("y_true", y_true)
        mask = get_keras_mask(y_pred)
        if mask is not None:
            # Keras would use the mask as a weight of each frame, but an item has only one loss.
            y_true = (y_true, mask)
            y_pred = y_pred + 0
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns losses `[N]`. `y_true` is labels, or a pair of labels and mask of the frames."""
        labels, mask = y_true if isinstance(y_true, (tuple, list)) else (y_true, None)
        return self._item_losses(labels, y_pred, mask)

    def get_config(self) -> dict:
        """Returns all arguments."""
        return {**super().get_config(), **self._configuration()}


@keras.saving.register_keras_serializable(package="ctc_wgpu")
class CTCLayer(_Configured, keras.layers.Layer):
    """A layer that adds the loss by `add_loss` and returns the predictions unchanged.

    It is called as `CTCLayer()(labels, y_pred)`, with labels `[N, Lmax]` as a second `Input` and
    predictions `[N, T, C]`, or as `CTCLayer()(labels, y_pred, input_length, label_length)` with
    lengths `[N]` or `[N, 1]`, each of which may be None. If `y_pred` has a mask, it selects frames
    as in `CTC`, among the first `input_length` frames if those are passed too. Compile the model
    without a loss.

    By default, predictions are those of `ctc_batch_cost`: probabilities after a softmax, with the
    blank last. Without label lengths, labels are padded with −1. The arguments are those of `CTC`.
    The loss added is the mean over the batch.
    """

    CONVENTIONS = _conventions("labels", *LENGTHS)

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
        # Autocast would convert labels that are floats to half precision, and round them.
        super().__init__(autocast=False, **kwargs)
        self._configure(from_logits, blank, mask_value, zero_infinity, epsilon, backend)
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.supports_masking = True

    def call(
        self, labels: Any, y_pred: Any, input_length: Any = None, label_length: Any = None
    ) -> Any:
        """Adds the loss, and returns `y_pred`."""
        mask = get_keras_mask(y_pred)
        losses = self._item_losses(labels, y_pred, mask, input_length, label_length)
        self.add_loss(ops.mean(losses))
        return y_pred

    def compute_output_shape(
        self,
        labels_shape: Any,
        y_pred_shape: Any,
        input_length_shape: Any = None,
        label_length_shape: Any = None,
    ) -> Any:
        """Returns the shape of the predictions."""
        return y_pred_shape

    def get_config(self) -> dict:
        """Returns all arguments."""
        return {**super().get_config(), **self._configuration()}


def _options(*, from_logits, blank, impossible, epsilon):
    """Returns the options as pairs, which JAX can hash."""
    options = {"input": "logits" if from_logits else "probs", "blank": blank}
    options["impossible"] = impossible
    if not from_logits:
        options["epsilon"] = epsilon
    return tuple(options.items())


def _tensor(name, value):
    """Converts `value` to a tensor. Its numbers are checked later, on the host."""
    if not ops.is_tensor(value):
        value = array(name, value)
        if value.dtype.kind not in "iuf":
            raise TypeError(f"{name} is an array of {value.dtype}: must contain integers")
        if value.dtype.kind in "iu":
            # JAX would truncate integers of more than 32 bits. As floats they remain invalid.
            in_range = ((value >= INT32.min) & (value <= INT32.max)).all()
            value = value.astype(np.int32 if in_range else np.float64)
    return ops.convert_to_tensor(value)


def _losses(y_pred, labels, frames, label_lengths, options, backend, conventions):
    """Computes losses `[N]` by the adapter for the backend of Keras."""
    y_pred = ops.convert_to_tensor(y_pred)
    frames, label_lengths = ops.reshape(frames, (-1,)), ops.reshape(label_lengths, (-1,))
    name = _adapter_name()
    apply = _adapter(name).apply
    if name == "jax":
        return apply(options, backend, conventions, y_pred, (labels, label_lengths), frames)
    apply = partial(apply, layout="ntc", backend=backend, conventions=conventions)
    options = Options(**dict(options))
    if name == "torch":
        return apply(y_pred, labels, frames, label_lengths, options)
    return apply(y_pred, (labels, label_lengths), frames, options)


def _adapter_name():
    """Returns the name of the module of this package for the backend of Keras."""
    name = keras.backend.backend()
    if name not in ADAPTERS:
        raise RuntimeError(f"the backend of Keras is {name}: must be {', '.join(ADAPTERS)}")
    return ADAPTERS[name]


def _adapter(name):
    return importlib.import_module(f"{__package__}.{name}")
