//! Every error that the crate returns. Each names the item, the value and the rule that it breaks.

use crate::Status;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The batch breaks a rule; nothing was run.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The batch cannot be planned within the device's limits.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A buffer handed to [`GpuPlan::encode`](crate::GpuPlan::encode) does not fit the plan.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// An item has no alignment, and the options ask for an error then.
    #[error(
        "item {item}: no alignment of its {labels} labels fits its {frames} frames (Impossible::Error is set)"
    )]
    Impossible {
        /// The first such item.
        item: usize,
        /// Its label length.
        labels: usize,
        /// Its logit length.
        frames: usize,
    },
    /// No adapter is to be had.
    #[error(
        "no GPU adapter{0}: install a driver (on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` is a software one), or use the CPU backend"
    )]
    NoAdapter(String),
    /// The adapter gave no device.
    #[error("adapter `{adapter}` gives no device: {reason}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// wgpu's reason.
        reason: String,
    },
    /// This process was forked, and what the call needs stayed in its parent; see [`Ctc`](crate::Ctc).
    #[error("in a forked process: {0}")]
    Forked(&'static str),
    /// A call that waits for a GPU was made in a browser, which cannot wait.
    #[error("a browser cannot wait for the GPU: await the `_async` form of the call")]
    Blocking,
    /// The device was lost: unplugged, reset by its driver, or destroyed.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The device has no memory left for what was asked.
    #[error("the GPU is out of memory while {0}")]
    OutOfMemory(String),
    /// wgpu refused a call. If the input was right, this is a bug of ours or of the driver.
    #[error("the GPU refused {during}: {reason}")]
    Gpu {
        /// What was being done.
        during: String,
        /// wgpu's reason.
        reason: String,
    },
}

/// A rule that a batch breaks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// An axis has a forbidden length.
    #[error("{axis} = {value}: must be {rule}")]
    Axis {
        /// The axis in words.
        axis: &'static str,
        /// Its length.
        value: usize,
        /// What is allowed.
        rule: &'static str,
    },
    /// An array has the wrong number of elements.
    #[error("{array} has {got} elements, but {expected} are needed: {rule}")]
    Length {
        /// The array's name.
        array: &'static str,
        /// How many it has.
        got: usize,
        /// How many it must have.
        expected: usize,
        /// Where that number comes from.
        rule: &'static str,
    },
    /// No labels were given.
    #[error(
        "the batch has no labels: call one of Batch::labels, labels_concatenated, labels_sparse, label_paddings"
    )]
    NoLabels,
    /// An array of padded labels is not a whole number of rows.
    #[error(
        "labels has {got} elements, which is not a multiple of the {items} items: padded labels are [N, Lmax]"
    )]
    RaggedLabels {
        /// How many elements.
        got: usize,
        /// How many items.
        items: usize,
    },
    /// The blank is no class.
    #[error("blank {blank} is not below {classes} classes")]
    Blank {
        /// The blank's index.
        blank: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A number of frames is negative or larger than the batch's.
    #[error("item {item}: logit length {length} is not within 0..={frames} frames")]
    LogitLength {
        /// The item.
        item: usize,
        /// Its length.
        length: i64,
        /// The frames of the batch.
        frames: usize,
    },
    /// A number of labels is negative or larger than there are.
    #[error("item {item}: label length {length} is not within 0..={max} labels")]
    LabelLength {
        /// The item.
        item: usize,
        /// Its length.
        length: i64,
        /// The largest that it may be.
        max: usize,
    },
    /// A label is no class.
    #[error("item {item}: label {label} at position {position} is {}", broken(*label, *classes))]
    Label {
        /// The item.
        item: usize,
        /// The label's position.
        position: usize,
        /// The label.
        label: i64,
        /// The number of classes.
        classes: usize,
    },
    /// The blank stands among the labels.
    #[error(
        "item {item}: label {label} at position {position} is the blank; BlankInLabels::Allow permits it"
    )]
    BlankLabel {
        /// The item.
        item: usize,
        /// The label's position.
        position: usize,
        /// The label, which is the blank.
        label: usize,
    },
    /// A weight is NaN or infinite.
    #[error("item {item}: weight {weight} is not finite")]
    Weight {
        /// The item.
        item: usize,
        /// Its weight.
        weight: f32,
    },
    /// The weights of a mean over the weights are too small or too large to be summed and divided by in f32.
    #[error(
        "weights: their sizes sum to {sum:.3e}, not to 0 or within 1e-30..=1e37: a mean over them stays the same when all are multiplied by one number"
    )]
    WeightSum {
        /// The sum of their sizes.
        sum: f64,
    },
    /// An ε of [`Input::Probs`](crate::Input::Probs) is negative, NaN or infinite.
    #[error("epsilon {0} must be finite and not negative")]
    Epsilon(f32),
    /// Log-probabilities that a decoder was given sum to far more than 1.
    #[error(
        "item {item}: the exponentials of its first frame's log-probabilities sum to {sum:.4}, not to 1: apply log_softmax, or pass raw scores as logits"
    )]
    LogProbs {
        /// The item.
        item: usize,
        /// The sum.
        sum: f64,
    },
    /// A probability that a decoder was given is none.
    #[error(
        "item {item}: {value} is not a probability, for class {class} in its first frame: pass log-probabilities as such, and raw scores as logits"
    )]
    Probs {
        /// The item.
        item: usize,
        /// The class.
        class: usize,
        /// The value.
        value: f32,
    },
    /// A beam search's smallest probability is none.
    #[error("least_probability {0} is not within 0..=1")]
    LeastProbability(f64),
    /// A sparse index lies outside the dense shape.
    #[error(
        "sparse label {entry}: index [{row}, {column}] is outside the dense shape [{rows}, {columns}]"
    )]
    SparseIndex {
        /// Which entry.
        entry: usize,
        /// Its row.
        row: i64,
        /// Its column.
        column: i64,
        /// The rows of the dense shape.
        rows: usize,
        /// The columns of the dense shape.
        columns: usize,
    },
    /// A sparse label stands after one of a later row.
    #[error(
        "sparse label {entry}: index [{row}, {column}] is out of order after row {last}: sort the labels by row, then column"
    )]
    SparseRow {
        /// Which entry.
        entry: usize,
        /// Its row.
        row: i64,
        /// Its column.
        column: i64,
        /// The row of the entry before it.
        last: usize,
    },
    /// Sparse labels of a row are not sorted, or leave a hole.
    #[error(
        "sparse label {entry}: index [{row}, {column}] should be [{row}, {expected}]: rows in order, each without holes"
    )]
    SparseOrder {
        /// Which entry.
        entry: usize,
        /// Its row.
        row: i64,
        /// Its column.
        column: i64,
        /// The column expected there.
        expected: usize,
    },
    /// A padding mask is not zeros followed by ones.
    #[error(
        "item {item}: {mask} is {value} at position {position}: must be 0 for what counts, then 1 to the end"
    )]
    Padding {
        /// Which mask.
        mask: &'static str,
        /// The item.
        item: usize,
        /// The position.
        position: usize,
        /// The value there.
        value: f32,
    },
}

/// Which rule a label breaks. A negative one is most often padding that counts.
fn broken(label: i64, classes: usize) -> String {
    if label < 0 {
        format!(
            "negative, not within 0..{classes}: if it is padding, label_lengths must not count it"
        )
    } else {
        format!("not below {classes} classes")
    }
}

/// A limit of the device that no cutting of the batch can keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The shape is none.
    #[error("{axis} = {value}: must be {rule}")]
    Axis {
        /// The axis in words.
        axis: &'static str,
        /// Its length.
        value: u64,
        /// What is allowed.
        rule: &'static str,
    },
    /// A limit has a value that no device gives.
    #[error("DeviceLimits::{limit} = {value}: must be 0 or a power of two")]
    NotPowerOfTwo {
        /// The field of [`DeviceLimits`](crate::DeviceLimits).
        limit: &'static str,
        /// Its value.
        value: u32,
    },
    /// An array of the batch has more bytes than 64 bits can address.
    #[error("{what} would have more than 2^62 bytes: no buffer is so large")]
    Array {
        /// The array in words.
        what: &'static str,
    },
    /// The batch is cut into more dispatches than a plan may have.
    #[error(
        "{items} items need more than the 65,536 dispatches that a plan may have: {}", split(.most)
    )]
    Dispatches {
        /// The items of the shape.
        items: usize,
        /// The items to plan together instead; where that is still too many, the error has a lower number; 0 if not even one
        /// item can be planned.
        most: usize,
    },
    /// The blank is no class.
    #[error("blank {blank} is not below {classes} classes")]
    Blank {
        /// The blank's index.
        blank: usize,
        /// The number of classes.
        classes: usize,
    },
    /// An ε of [`Input::Probs`](crate::Input::Probs) is negative, NaN or infinite; the text is the number.
    #[error("epsilon {0} must be finite and not negative")]
    Epsilon(String),
    /// The device gives less of something than any plan needs.
    #[error("the device's {limit} is {has}, but {what} needs {needs}")]
    Limit {
        /// wgpu's name of the limit.
        limit: &'static str,
        /// What the device gives.
        has: u64,
        /// What is needed.
        needs: u64,
        /// By what.
        what: &'static str,
    },
    /// The device lacks a feature.
    #[error("the device lacks the feature {feature}, which {what} needs")]
    Feature {
        /// wgpu's name of the feature.
        feature: &'static str,
        /// By what it is needed.
        what: &'static str,
    },
}

/// What to do about [`PlanError::Dispatches`].
fn split(most: &usize) -> String {
    match most {
        0 => "one item alone is too long for the device's max_storage_buffer_binding_size".into(),
        most => format!("split the batch into parts of at most {most}"),
    }
}

/// A buffer that does not fit its plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// The plan computes something else.
    #[error("these are the buffers of {got}, but the plan computes {plan}")]
    Task {
        /// What the buffers are for.
        got: &'static str,
        /// What the plan computes.
        plan: &'static str,
    },
    /// A buffer that the plan needs was not given.
    #[error("buffer `{buffer}` is needed: {why}")]
    Missing {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// Which option or shape asks for it.
        why: &'static str,
    },
    /// A range is too small.
    #[error(
        "buffer `{buffer}`: {got} bytes from offset {offset}, but the plan's shape needs {needs}"
    )]
    TooSmall {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The offset given.
        offset: u64,
        /// The bytes from there.
        got: u64,
        /// The bytes needed.
        needs: u64,
    },
    /// A range that is bound as a whole is larger than a binding may be.
    #[error(
        "buffer `{buffer}`: {got} bytes are bound at once, but the device binds {most} (max_storage_buffer_binding_size): say a smaller size, or use padded labels"
    )]
    TooLarge {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The bytes of the range.
        got: u64,
        /// The device's limit.
        most: u64,
    },
    /// An offset is not aligned.
    #[error(
        "buffer `{buffer}`: offset {offset} is not a multiple of {alignment} (min_storage_buffer_offset_alignment)"
    )]
    Unaligned {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The offset given.
        offset: u64,
        /// The device's alignment.
        alignment: u64,
    },
    /// A buffer was not made for this.
    #[error("buffer `{buffer}` lacks BufferUsages::STORAGE")]
    Usage {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
    },
    /// An output lies over another range of the same buffer.
    #[error("buffers `{first}` and `{second}` overlap in one wgpu::Buffer")]
    Overlap {
        /// A buffer that is written.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// A buffer was given that the plan has no use for.
    #[error("buffer `{buffer}` was given, but {why}")]
    Unexpected {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// Why it has no use.
        why: &'static str,
    },
}

/// The first item without an alignment as an error, where the options ask for one.
pub(crate) fn refuse_impossible(
    status: &[Status],
    labels: impl Fn(usize) -> usize,
    frames: impl Fn(usize) -> usize,
) -> Result<(), Error> {
    match status.iter().position(|s| *s == Status::Impossible) {
        None => Ok(()),
        Some(item) => Err(Error::Impossible {
            item,
            labels: labels(item),
            frames: frames(item),
        }),
    }
}
