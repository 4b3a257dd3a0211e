//! Options of a loss: the blank, the input convention, the reduction, and the rules for special
//! items.
//!
//! Each option is an enum with a documented default. [`Options::default`] is recommended for new
//! projects; the presets ([`Options::pytorch`] and the others) have the rules of another library.

use crate::names::names;
use crate::setters::setters;

/// The class that is the blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blank {
    /// The class with this index.
    Index(u32),
    /// The last class, `C − 1`, as in Keras's `ctc_batch_cost` and TensorFlow's
    /// `tf.compat.v1.nn.ctc_loss`.
    Last,
}

impl Blank {
    /// Returns the blank's index among `classes` classes. An [`Index`](Self::Index) out of range is
    /// returned as it is.
    #[must_use]
    pub fn index(self, classes: usize) -> usize {
        match self {
            Self::Index(k) => k as usize,
            Self::Last => classes.saturating_sub(1),
        }
    }
}

/// The interpretation of the `[N, T, C]` input, which also defines the gradient.
///
/// `γ` is the occupancy: the posterior probability that the alignment passes through a class at a
/// frame (Graves et al. 2006, eq. 14 and 15).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Unnormalised scores; the softmax is part of the loss. The gradient with respect to the
    /// logits is `softmax − γ`.
    Logits,
    /// Log-probabilities `lp`, with PyTorch's gradient `exp(lp) − γ`. It is correct if `lp` is the
    /// output of a log-softmax: it is the gradient with respect to the logits, and the backward
    /// pass of the log-softmax leaves it unchanged.
    LogProbs,
    /// Log-probabilities, with the true derivative `−γ`.
    LogProbsExact,
    /// Probabilities, as for Keras's `ctc_batch_cost`: `log(p + ε)`, normalised again. The gradient
    /// with respect to `p` is `(softmax(log(p + ε)) − γ) / (p + ε)`, that is,
    /// `1 / Σ(p + ε) − γ / (p + ε)`. Where `p + ε` is 0, γ is 0 too, and the term `γ / (p + ε)`
    /// counts as 0. A `p + ε` below the smallest normal number (1.2e-38) counts as 0, since GPUs
    /// may flush it to 0.
    Probs {
        /// Added to every probability; finite and not negative. Keras uses `1e-7`.
        epsilon: f32,
    },
}

/// The rule that reduces the items' losses to one number. The gradient is that of the reduced loss.
///
/// `w` is the item's weight (by default 1) and `L` its label length as supplied, before any
/// [`RepeatedLabels::Collapse`]. `Σ` is over the items. An item of weight 0 contributes exactly 0,
/// whatever its loss. A mean is 0 if the batch is empty or the divisor is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// No reduced loss; the gradient is that of `Σ w·loss`.
    None,
    /// `Σ w·loss`
    Sum,
    /// `Σ w·loss / N` (Keras's `sum_over_batch_size`)
    MeanBatch,
    /// `Σ w·loss/max(L, 1) / N` (PyTorch's `mean`)
    MeanLabel,
    /// `Σ w·loss / max(ΣL, 1)` (NeMo's `mean_volume`)
    MeanVolume,
    /// `Σ w·loss / Σw` (Keras's `mean_with_sample_weight`).
    ///
    /// If weights of both signs cancel, so that `|Σw| ≤ Σ|w| / 1000`, the divisor counts as 0.
    /// `Σ|w|` must be 0 or between 1e-30 and 1e37. Otherwise the result is an
    /// [`InputError`](crate::InputError) on the host, and on a device the divisor may count as 0.
    MeanWeighted,
}

/// The result for an item that has no valid alignment: too few frames for its labels and their
/// repeats, or a needed probability of 0. A probability of e^(−2^30) or less counts as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Impossible {
    /// Loss `+inf`, gradient exactly 0, status [`Impossible`](crate::Status::Impossible).
    Infinity,
    /// Loss 0, gradient exactly 0 (PyTorch's `zero_infinity`). A NaN remains a NaN.
    Zero,
    /// The loss functions for host arrays return [`Error::Impossible`](crate::Error::Impossible).
    /// On device buffers it is the same as [`Infinity`](Self::Infinity), since no call waits for
    /// the result there: read the status.
    Error,
}

/// The rule for the blank among an item's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlankInLabels {
    /// An error on the host, [`Status::BadLabel`](crate::Status::BadLabel) on a device.
    Reject,
    /// Allowed, as in PyTorch, optax and TensorFlow's dense loss: the blank is a label like any
    /// other, which can follow the label before it without a blank between them.
    /// `keras.losses.CTC` depends on it.
    Allow,
}

/// The treatment of adjacent equal labels of an item, before the loss or the alignment is computed
/// (TensorFlow's `preprocess_collapse_repeated`). A [`Reduction`] uses the label lengths as
/// supplied in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatedLabels {
    /// They are separate labels: `[5, 5, 1]` has three labels, and a path must have a blank between
    /// the two labels 5.
    Keep,
    /// They become one label: `[5, 5, 1]` is the same as `[5, 1]`.
    Collapse,
}

impl RepeatedLabels {
    /// Returns an item's labels after the rule has been applied.
    pub(crate) fn applied(self, labels: &[i32]) -> Vec<i32> {
        let mut labels = labels.to_vec();
        if self == Self::Collapse {
            labels.dedup();
        }
        labels
    }
}

/// The meaning of adjacent equal outputs of a path (TensorFlow's `ctc_merge_repeated`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatedOutputs {
    /// They are one label, which spans several frames: standard CTC.
    Merge,
    /// Each is a label of its own, and equal labels need no blank between them.
    Distinct,
}

/// All options of a loss. Alignment and the decoders use some of them too (see
/// [`decode`](crate::decode)). Start from [`Options::default`] or a preset and call the setters.
///
/// ```
/// use ctc_wgpu::{Blank, Options, Reduction};
/// let options = Options::default().blank(Blank::Last).reduction(Reduction::MeanBatch);
/// assert_eq!(options.input, ctc_wgpu::Input::Logits);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The class that is the blank.
    pub blank: Blank,
    /// The interpretation of the input.
    pub input: Input,
    /// The rule that reduces the losses to one number.
    pub reduction: Reduction,
    /// The result for an item that has no valid alignment.
    pub impossible: Impossible,
    /// The rule for the blank among the labels.
    pub blank_in_labels: BlankInLabels,
    /// The treatment of adjacent equal labels.
    pub repeated_labels: RepeatedLabels,
    /// The meaning of adjacent equal outputs.
    pub repeated_outputs: RepeatedOutputs,
}

setters!(Options {
    blank: Blank,
    input: Input,
    reduction: Reduction,
    impossible: Impossible,
    blank_in_labels: BlankInLabels,
    repeated_labels: RepeatedLabels,
    repeated_outputs: RepeatedOutputs,
});

impl Default for Options {
    /// Logits, blank 0, no reduction, `+inf` for items without a valid alignment, no blank among
    /// the labels, standard CTC.
    fn default() -> Self {
        Self {
            blank: Blank::Index(0),
            input: Input::Logits,
            reduction: Reduction::None,
            impossible: Impossible::Infinity,
            blank_in_labels: BlankInLabels::Reject,
            repeated_labels: RepeatedLabels::Keep,
            repeated_outputs: RepeatedOutputs::Merge,
        }
    }
}

impl Options {
    /// The rules of `torch.nn.CTCLoss()`: log-probabilities (time-major there, see
    /// [`Batch::time_major`](crate::Batch::time_major)), blank 0, each loss divided by its label
    /// length, then the mean. `zero_infinity=True` is [`Impossible::Zero`].
    #[must_use]
    pub fn pytorch() -> Self {
        Self {
            input: Input::LogProbs,
            reduction: Reduction::MeanLabel,
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }

    /// The rules of `tf.nn.ctc_loss(…, blank_index=0)`: logits, one loss per item. The blank is
    /// allowed among the labels, as in TensorFlow's dense labels. `tf.compat.v1.nn.ctc_loss` uses
    /// [`Blank::Last`] and rejects the blank, as do sparse labels: [`BlankInLabels::Reject`].
    #[must_use]
    pub fn tensorflow() -> Self {
        Self {
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }

    /// The rules of `keras.backend.ctc_batch_cost`: softmax probabilities with ε = 1e-7, the last
    /// class is the blank, one loss per item.
    #[must_use]
    pub fn keras_batch_cost() -> Self {
        Self {
            blank: Blank::Last,
            input: Input::Probs { epsilon: 1e-7 },
            ..Self::default()
        }
    }

    /// The rules of `optax.ctc_loss`: logits, blank 0, one loss per item. For its masks see
    /// [`Batch::label_paddings`](crate::Batch::label_paddings).
    #[must_use]
    pub fn optax() -> Self {
        Self {
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }
}

/// The status of an item. The crate's table of [semantics](crate#semantics) has the loss and the
/// gradient of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[non_exhaustive]
pub enum Status {
    /// The item has a result.
    Ok = 0,
    /// No valid alignment: too few frames, or a needed probability of 0. A probability of e^(−2^30)
    /// or less counts as 0.
    Impossible = 1,
    /// A NaN or +inf in a valid frame, a frame without a class of positive probability, a
    /// log-probability above 88, a probability below −ε, or a weight that is not finite.
    NotFinite = 2,
    /// A label outside `0..C`, or the blank where it is not allowed. Only on device buffers: the
    /// calls for host arrays return an error.
    BadLabel = 3,
    /// A length that is negative or too large. Only on device buffers: the calls for host arrays
    /// return an error.
    BadLength = 4,
}

impl Status {
    /// Returns the number that a kernel writes for this status.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Returns the status that a kernel writes as `code`, or `None` if no status has that code.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        [
            Self::Ok,
            Self::Impossible,
            Self::NotFinite,
            Self::BadLabel,
            Self::BadLength,
        ]
        .into_iter()
        .find(|status| status.code() == code)
    }
}

names!(Reduction {
    None = "none",
    Sum = "sum",
    MeanBatch = "mean_batch",
    MeanLabel = "mean_label",
    MeanVolume = "mean_volume",
    MeanWeighted = "mean_weighted",
});

names!(Impossible {
    Infinity = "inf",
    Zero = "zero",
    Error = "error",
});

names!(BlankInLabels {
    Reject = "reject",
    Allow = "allow",
});

names!(RepeatedLabels {
    Keep = "keep",
    Collapse = "collapse",
});

names!(RepeatedOutputs {
    Merge = "merge",
    Distinct = "distinct",
});

names!(Status {
    Ok = "ok",
    Impossible = "impossible",
    NotFinite = "not finite",
    BadLabel = "bad label",
    BadLength = "bad length",
});
