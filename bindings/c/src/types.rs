//! What crosses the border: numbers and structs.

use std::ffi::CStr;

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_result {
    /// All is well.
    CTCW_OK = 0,
    /// A pointer is NULL or not aligned, a size is not possible, or an option's number is not known.
    CTCW_INVALID_ARGUMENT = 1,
    /// The batch breaks a rule: a label, a length, a weight.
    CTCW_INVALID_BATCH = 2,
    /// An item has no alignment, and the options ask for an error then.
    CTCW_IMPOSSIBLE = 3,
    /// No GPU was found.
    CTCW_NO_GPU = 4,
    /// The batch does not fit the GPU's limits.
    CTCW_LIMIT = 5,
    /// The GPU has no memory left.
    CTCW_OUT_OF_MEMORY = 6,
    /// The GPU was lost. Destroy the context and create another.
    CTCW_GPU_LOST = 7,
    /// The GPU's driver refused a call.
    CTCW_GPU_REFUSED = 8,
    /// A bug of this library: it panicked. The context may be used on.
    CTCW_BUG = 9,
    /// The process was forked, and the GPU stayed in the parent. Destroy the context, and create another or use the CPU.
    CTCW_FORKED = 10,
}

pub(crate) fn describe(result: i32) -> &'static CStr {
    match result {
        0 => c"no error",
        1 => c"invalid argument",
        2 => c"the batch breaks a rule",
        3 => c"an item has no alignment",
        4 => c"no GPU was found",
        5 => c"the batch does not fit the GPU's limits",
        6 => c"the GPU is out of memory",
        7 => c"the GPU was lost",
        8 => c"the GPU refused a call",
        9 => c"a bug of the library",
        10 => c"the GPU stayed in the process that forked this one",
        _ => c"not a result of this library",
    }
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_backend {
    /// The best GPU, or the CPU where there is none.
    CTCW_BACKEND_AUTO = 0,
    /// A GPU, or an error.
    CTCW_BACKEND_GPU = 1,
    /// The CPU.
    CTCW_BACKEND_CPU = 2,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_status {
    /// All is well.
    CTCW_STATUS_OK = 0,
    /// No alignment: too few frames, or a needed probability is 0, as which e^(-2^28) and less count.
    /// The gradient is 0.
    CTCW_STATUS_IMPOSSIBLE = 1,
    /// A NaN or +inf in a frame that counts, or a frame of -inf only. Loss and gradient are NaN.
    CTCW_STATUS_NOT_FINITE = 2,
}

/// What the logits hold, and with respect to what the gradient is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_input {
    /// Any scores; the softmax is taken inside.
    CTCW_INPUT_LOGITS = 0,
    /// Log-probabilities, with PyTorch's gradient: right after a log-softmax.
    CTCW_INPUT_LOG_PROBS = 1,
    /// Log-probabilities, with the true derivative.
    CTCW_INPUT_LOG_PROBS_EXACT = 2,
    /// Probabilities, to each of which `epsilon` is added (Keras: 1e-7).
    CTCW_INPUT_PROBS = 3,
}

/// How the losses become one number, of which the gradient is taken. w is the item's weight, L its label length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_reduction {
    /// No number; the gradient is that of the sum of w * loss.
    CTCW_REDUCTION_NONE = 0,
    /// The sum of w * loss.
    CTCW_REDUCTION_SUM = 1,
    /// The sum of w * loss / N.
    CTCW_REDUCTION_MEAN_BATCH = 2,
    /// The sum of w * loss / max(L, 1) / N, as PyTorch.
    CTCW_REDUCTION_MEAN_LABEL = 3,
    /// The sum of w * loss over the number of labels.
    CTCW_REDUCTION_MEAN_VOLUME = 4,
    /// The sum of w * loss over the sum of w.
    CTCW_REDUCTION_MEAN_WEIGHTED = 5,
}

/// What an item without an alignment is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_impossible {
    /// Loss +inf, gradient 0.
    CTCW_IMPOSSIBLE_INFINITY = 0,
    /// Loss 0, gradient 0: PyTorch's `zero_infinity`.
    CTCW_IMPOSSIBLE_ZERO = 1,
    /// The call fails with `CTCW_IMPOSSIBLE`.
    CTCW_IMPOSSIBLE_ERROR = 2,
}

/// In which order the logits and the gradient lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_layout {
    /// `[N, T, C]`
    CTCW_LAYOUT_BATCH_MAJOR = 0,
    /// `[T, N, C]`, as PyTorch and warp-ctc have it.
    CTCW_LAYOUT_TIME_MAJOR = 1,
}

/// How the labels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_labels {
    /// `[N, Lmax]`; what stands past an item's length is never looked at.
    CTCW_LABELS_PADDED = 0,
    /// One item's after the other's, as warp-ctc has them.
    CTCW_LABELS_CONCATENATED = 1,
}

/// All choices of a loss. Zero is the default of each but `size`: `ctcw_options options = {sizeof options};`
///
/// Later versions may append fields. A program and a library of different versions work together: what the program does not
/// have is 0, and what the library does not know must be 0. A size at which no version ended is refused.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ctcw_options {
    /// `sizeof(ctcw_options)`
    pub size: usize,
    /// The blank's class; -1 for the last.
    pub blank: i32,
    /// A `ctcw_input`.
    pub input: i32,
    /// For `CTCW_INPUT_PROBS`.
    pub epsilon: f32,
    /// A `ctcw_reduction`.
    pub reduction: i32,
    /// A `ctcw_impossible`.
    pub impossible: i32,
    /// 1: the blank may stand among the labels, as PyTorch has it. 0: that is an error.
    pub blank_in_labels: i32,
    /// 1: equal neighbours among the labels are first made one.
    pub collapse_labels: i32,
    /// 1: each output is a label of its own, and equal labels need no blank between them.
    pub distinct_outputs: i32,
    /// A `ctcw_layout`.
    pub layout: i32,
    /// A `ctcw_labels`.
    pub labels: i32,
}

/// A batch in the host's memory. `ctcw_batch batch = {sizeof batch};`, then its fields.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ctcw_batch {
    /// `sizeof(ctcw_batch)`
    pub size: usize,
    /// N
    pub items: usize,
    /// T
    pub frames: usize,
    /// C, the blank among them.
    pub classes: usize,
    /// `[N, T, C]` or `[T, N, C]`: what the options' `input` says.
    pub logits: *const f32,
    /// Padded or concatenated.
    pub labels: *const i32,
    /// How many numbers are at `labels`: N * Lmax, or those of all items together.
    pub label_count: usize,
    /// `[N]`
    pub label_lengths: *const i32,
    /// `[N]`, or NULL: all frames count.
    pub logit_lengths: *const i32,
    /// `[N]`, or NULL: each is 1.
    pub weights: *const f32,
}
