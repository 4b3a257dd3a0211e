//! What a loss means: blank, input convention, reductions and the policies for odd items.
//!
//! Every choice is an enum with a documented default; [`Options::default`] is what a new project should use, and the
//! presets ([`Options::pytorch`] and its neighbours) name another library's choices.

use crate::names::names;
use crate::setters::setters;

/// Which class is the blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blank {
    /// The class with this index.
    Index(u32),
    /// The last class, `C − 1`, as Keras's `ctc_batch_cost` and TensorFlow's `tf.compat.v1.nn.ctc_loss` have it.
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

/// What the `[N, T, C]` input holds, and with respect to what the gradient is taken.
///
/// `γ` is the occupancy: the posterior probability that the alignment passes through a class at a frame (Graves et al.
/// 2006, eq. 14 and 15).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Unnormalised scores; the softmax is taken inside. Gradient with respect to the logits: `softmax − γ`.
    Logits,
    /// Log-probabilities, with PyTorch's gradient `exp(lp) − γ`: right when a log-softmax stands before the loss,
    /// whose own derivative it already contains.
    LogProbs,
    /// Log-probabilities, with the true derivative `−γ`.
    LogProbsExact,
    /// Probabilities, as Keras's `ctc_batch_cost` takes them: `log(p + ε)`, normalised again.
    /// Gradient with respect to `p`: `(softmax(log(p + ε)) − γ) / (p + ε)`; where `p + ε` is 0, γ is 0 and its term is left out.
    /// A `p + ε` below the smallest normal number (1.2e-38) counts as 0: GPUs may take it for that.
    Probs {
        /// Added to every probability; finite and not negative. Keras uses `1e-7`.
        epsilon: f32,
    },
}

/// How the items' losses become one number. The gradient is always that of the reduced number.
///
/// `w` is the item's weight (1 where none is given), `L` its label length as given, before any
/// [`RepeatedLabels::Collapse`]. An item of weight 0 contributes exactly 0, whatever its loss. The means of an empty
/// batch are 0, as are those whose divisor is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// No number; the gradient is that of `Σ w·loss`.
    None,
    /// `Σ w·loss`
    Sum,
    /// `Σ w·loss / N` (Keras's `sum_over_batch_size`)
    MeanBatch,
    /// `Σ w·loss/max(L, 1) / N` (PyTorch's `mean`)
    MeanLabel,
    /// `Σ w·loss / max(ΣL, 1)` (NeMo's `mean_volume`)
    MeanVolume,
    /// `Σ w·loss / Σw` (Keras's `mean_with_sample_weight`). Weights of both signs that cancel, so that
    /// `|Σw| ≤ Σ|w| / 1000`, have no mean: their divisor counts as 0. Their sizes must sum to 0 or to something from
    /// 1e-30 to 1e37: others are an [`InputError`](crate::InputError) on the host, and on a device their divisor may
    /// count as 0.
    MeanWeighted,
}

/// What an item is given that no alignment can produce: too few frames for its labels and their repeats, or a needed
/// probability that is 0. A probability of e^(−2^28) or less counts as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Impossible {
    /// Loss `+inf`, gradient exactly 0, status [`Impossible`](crate::Status::Impossible).
    Infinity,
    /// Loss 0, gradient exactly 0 (PyTorch's `zero_infinity`). A NaN stays a NaN.
    Zero,
    /// The host calls return [`Error::Impossible`](crate::Error::Impossible); on device buffers it is the same as
    /// [`Infinity`](Self::Infinity), since nothing waits there: look at the status.
    Error,
}

/// Whether the blank may stand among an item's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlankInLabels {
    /// No: an error on the host, [`Status::BadLabel`](crate::Status::BadLabel) on the device.
    Reject,
    /// Yes, as PyTorch, optax and TensorFlow's dense loss have it: it is a label like any other, that may be reached
    /// from the label before it without a blank between them. `keras.losses.CTC` relies on it.
    Allow,
}

/// What happens to equal neighbours among an item's labels before anything else (TensorFlow's
/// `preprocess_collapse_repeated`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatedLabels {
    /// They stay: `[5, 5, 1]` is three labels, and the two 5 need a blank between them.
    Keep,
    /// They become one label: `[5, 5, 1]` is read as `[5, 1]`.
    Collapse,
}

impl RepeatedLabels {
    /// What is left of an item's labels.
    pub(crate) fn applied(self, labels: &[i32]) -> Vec<i32> {
        let mut labels = labels.to_vec();
        if self == Self::Collapse {
            labels.dedup();
        }
        labels
    }
}

/// Whether a label may last for several frames (TensorFlow's `ctc_merge_repeated`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatedOutputs {
    /// Yes, the usual CTC: equal neighbouring outputs are one label.
    Merge,
    /// No: each output is a label of its own, and equal labels need no blank between them.
    Distinct,
}

/// All choices of a loss. Start from [`Options::default`] or a preset and change fields.
///
/// ```
/// use ctc_wgpu::{Blank, Options, Reduction};
/// let options = Options::default().blank(Blank::Last).reduction(Reduction::MeanBatch);
/// assert_eq!(options.input, ctc_wgpu::Input::Logits);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Which class is the blank.
    pub blank: Blank,
    /// What the input holds.
    pub input: Input,
    /// How the losses become one number.
    pub reduction: Reduction,
    /// What an item without an alignment is given.
    pub impossible: Impossible,
    /// Whether the blank may stand among the labels.
    pub blank_in_labels: BlankInLabels,
    /// Whether equal neighbouring labels are first made one.
    pub repeated_labels: RepeatedLabels,
    /// Whether a label may last for several frames.
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
    /// Logits, blank 0, no reduction, `+inf` for impossible items, no blank among the labels, the usual CTC.
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
    /// `torch.nn.CTCLoss()`: log-probabilities (time-major there: see [`Batch::time_major`](crate::Batch::time_major)),
    /// blank 0, each loss divided by its label length, then the mean. `zero_infinity=True` is [`Impossible::Zero`].
    #[must_use]
    pub fn pytorch() -> Self {
        Self {
            input: Input::LogProbs,
            reduction: Reduction::MeanLabel,
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }

    /// `tf.nn.ctc_loss(…, blank_index=0)`: logits, one loss per item. The blank may stand among the labels, as in its
    /// dense labels. `tf.compat.v1.nn.ctc_loss` uses [`Blank::Last`], and like sparse labels rejects a blank:
    /// [`BlankInLabels::Reject`].
    #[must_use]
    pub fn tensorflow() -> Self {
        Self {
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }

    /// `keras.backend.ctc_batch_cost`: softmax probabilities with ε = 1e-7, blank last, one loss an item.
    #[must_use]
    pub fn keras_batch_cost() -> Self {
        Self {
            blank: Blank::Last,
            input: Input::Probs { epsilon: 1e-7 },
            ..Self::default()
        }
    }

    /// `optax.ctc_loss`: logits, blank 0, one loss an item; see
    /// [`Batch::label_paddings`](crate::Batch::label_paddings) for its masks.
    #[must_use]
    pub fn optax() -> Self {
        Self {
            blank_in_labels: BlankInLabels::Allow,
            ..Self::default()
        }
    }
}

/// How an item went. The loss and gradient that go with each value stand in the crate's table of semantics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[non_exhaustive]
pub enum Status {
    /// All is well.
    Ok = 0,
    /// No alignment: too few frames, or a needed probability is 0, as which e^(−2^28) and less count.
    Impossible = 1,
    /// A NaN or +inf in a frame that counts, a frame of −inf only, a log-probability above 88, or a weight that is not
    /// finite.
    NotFinite = 2,
    /// A label outside `0..C`, or the blank where it is not allowed. Device buffers only: the host call returns an error.
    BadLabel = 3,
    /// A length that is negative or past its bound. Device buffers only: the host call returns an error.
    BadLength = 4,
}

impl Status {
    /// The number that a kernel writes for this status.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The status that a kernel wrote as `code`; `None` for a number that no kernel writes.
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
