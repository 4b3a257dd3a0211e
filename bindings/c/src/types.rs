//! The enums and structs of the C header.

use std::ffi::CStr;

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_result {
    /// The call succeeded.
    CTCW_OK = 0,
    /// An argument is not valid, for example a pointer is NULL or not aligned, or an enum's value
    /// is unknown.
    CTCW_INVALID_ARGUMENT = 1,
    /// The batch or an option breaks a rule, for example a label or a length is out of range.
    CTCW_INVALID_BATCH = 2,
    /// An item has no valid alignment, and the options request an error for that
    /// (`CTCW_IMPOSSIBLE_ERROR`).
    CTCW_IMPOSSIBLE = 3,
    /// No suitable GPU was found, or it could not be opened.
    CTCW_NO_GPU = 4,
    /// The batch exceeds the GPU's limits, or the shape or an option that was passed to
    /// `ctcw_workspace_bytes` is not valid.
    CTCW_LIMIT = 5,
    /// The GPU is out of memory.
    CTCW_OUT_OF_MEMORY = 6,
    /// The GPU was lost. Destroy the context and create another one.
    CTCW_GPU_LOST = 7,
    /// The GPU or its driver reported an error.
    CTCW_GPU_ERROR = 8,
    /// The library panicked, which is a bug in the library. The context stays usable.
    CTCW_INTERNAL_ERROR = 9,
    /// The process was forked, and the call cannot run in the child, for example because the GPU
    /// belongs to the parent. Destroy the context, and create another one or use the CPU.
    CTCW_FORKED = 10,
}

/// Returns the general description of a result code.
pub(crate) fn describe(result: i32) -> &'static CStr {
    match result {
        0 => c"no error",
        1 => c"invalid argument",
        2 => c"invalid batch",
        3 => c"an item has no valid alignment",
        4 => c"no GPU was found, or it could not be opened",
        5 => c"the batch exceeds the GPU's limits, or its shape is not valid",
        6 => c"the GPU is out of memory",
        7 => c"the GPU was lost",
        8 => c"the GPU or its driver reported an error",
        9 => c"internal error in the library",
        10 => c"the call cannot run in this forked process",
        _ => c"unknown result code",
    }
}

/// Selects where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_backend {
    /// The best GPU, or the CPU if no GPU is available. A software driver counts as a GPU, though
    /// it is slower than the CPU.
    CTCW_BACKEND_AUTO = 0,
    /// The best GPU, which may be a software driver. Without one, `ctcw_create` fails.
    CTCW_BACKEND_GPU = 1,
    /// The CPU.
    CTCW_BACKEND_CPU = 2,
}

/// The status of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_status {
    /// Loss and gradient are valid.
    CTCW_STATUS_OK = 0,
    /// The labels have no valid alignment: there are too few frames, or a required probability is
    /// 0. Probabilities of at most e^(-2^30) count as 0. The gradient is 0, and the loss is +inf,
    /// or 0 with `CTCW_IMPOSSIBLE_ZERO`.
    CTCW_STATUS_IMPOSSIBLE = 1,
    /// A valid frame (a frame before the item's logit length) contains NaN, +inf, a probability
    /// below -epsilon, a log-probability above 88, or no class of positive probability. Loss and
    /// gradient are NaN.
    CTCW_STATUS_NOT_FINITE = 2,
}

/// The meaning of the logits array. The gradient is taken with respect to these values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_input {
    /// Unnormalised scores; the library applies the softmax.
    CTCW_INPUT_LOGITS = 0,
    /// Log-probabilities, with PyTorch's gradient. It is correct if the backward pass continues
    /// through the log-softmax that computed them.
    CTCW_INPUT_LOG_PROBS = 1,
    /// Log-probabilities, with the exact derivative.
    CTCW_INPUT_LOG_PROBS_EXACT = 2,
    /// Probabilities. The library adds `epsilon` to each of them (Keras uses 1e-7).
    CTCW_INPUT_PROBS = 3,
}

/// The reduction of the losses to one number, whose gradient is computed. N is the number of items,
/// w is the weight of an item, and L is its label length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_reduction {
    /// No reduced loss; the gradient is that of the sum of w * loss.
    CTCW_REDUCTION_NONE = 0,
    /// The sum of w * loss.
    CTCW_REDUCTION_SUM = 1,
    /// The sum of w * loss / N.
    CTCW_REDUCTION_MEAN_BATCH = 2,
    /// The sum of w * loss / max(L, 1) / N, as in PyTorch.
    CTCW_REDUCTION_MEAN_LABEL = 3,
    /// The sum of w * loss, divided by the number of labels in the batch.
    CTCW_REDUCTION_MEAN_VOLUME = 4,
    /// The sum of w * loss, divided by the sum of w.
    CTCW_REDUCTION_MEAN_WEIGHTED = 5,
}

/// The result for an item that has no valid alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_impossible {
    /// Loss +inf, gradient 0.
    CTCW_IMPOSSIBLE_INFINITY = 0,
    /// Loss 0, gradient 0, as with PyTorch's `zero_infinity`.
    CTCW_IMPOSSIBLE_ZERO = 1,
    /// The call fails with `CTCW_IMPOSSIBLE`.
    CTCW_IMPOSSIBLE_ERROR = 2,
}

/// The order of the axes of the logits and of the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_layout {
    /// `[N, T, C]`
    CTCW_LAYOUT_BATCH_MAJOR = 0,
    /// `[T, N, C]`, as in PyTorch and warp-ctc.
    CTCW_LAYOUT_TIME_MAJOR = 1,
}

/// The layout of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ctcw_label_layout {
    /// `[N, Lmax]`; entries beyond an item's label length are ignored.
    CTCW_LABELS_PADDED = 0,
    /// The labels of all items in one array, item after item, as in warp-ctc.
    CTCW_LABELS_CONCATENATED = 1,
}

/// The options of a loss. Zero is the default of every field except `size`:
/// `ctcw_options options = {sizeof options};`
///
/// Later versions may append fields. A program and a library of different versions work together:
/// fields that the program's version lacks count as 0, and fields that the library's version lacks
/// must be 0. A size that no version has had is an error.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ctcw_options {
    /// `sizeof(ctcw_options)`
    pub size: usize,
    /// The class of the blank; -1 selects the last class.
    pub blank: i32,
    /// A `ctcw_input`.
    pub input: i32,
    /// Added to each probability if `input` is `CTCW_INPUT_PROBS`; ignored otherwise.
    pub epsilon: f32,
    /// A `ctcw_reduction`.
    pub reduction: i32,
    /// A `ctcw_impossible`.
    pub impossible: i32,
    /// 1: a label may be the blank, as in PyTorch. 0: a blank among the labels is an error.
    pub blank_in_labels: i32,
    /// 1: consecutive equal labels are merged into one before the loss is computed. 0: all labels
    /// are kept.
    pub collapse_labels: i32,
    /// 1: every output that is not a blank is a label of its own, so equal labels need no blank
    /// between them. 0: consecutive equal outputs are one label.
    pub distinct_outputs: i32,
}

/// A batch in host memory. Initialise it by `ctcw_batch batch = {sizeof batch};` and set its
/// fields.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ctcw_batch {
    /// `sizeof(ctcw_batch)`
    pub size: usize,
    /// N, the number of items.
    pub items: usize,
    /// T, the number of frames.
    pub frames: usize,
    /// C, the number of classes, including the blank.
    pub classes: usize,
    /// The layout of the logits and of the gradient: a `ctcw_layout`.
    pub layout: i32,
    /// The layout of the labels: a `ctcw_label_layout`.
    pub label_layout: i32,
    /// `[N, T, C]` or `[T, N, C]`, by `layout`: logits, log-probabilities or probabilities, by
    /// `input` of the options.
    pub logits: *const f32,
    /// `[N, Lmax]` or concatenated, by `label_layout`.
    pub labels: *const i32,
    /// The number of elements of `labels`: N * Lmax, or the sum of the label lengths.
    pub label_count: usize,
    /// `[N]`: the number of labels of each item.
    pub label_lengths: *const i32,
    /// `[N]`: the number of valid frames of each item. NULL: every frame is valid.
    pub logit_lengths: *const i32,
    /// `[N]`: the factor of each item in the reduced loss and in the gradient. NULL: every weight
    /// is 1.
    pub weights: *const f32,
}
