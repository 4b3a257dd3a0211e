//! Errors of a batch on the host.

use super::{ParameterError, parameter::class_range};

/// The rule that a batch or an option violates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A size or an option is out of range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// An array has the wrong number of elements.
    #[error("{array} has {got} elements, but {expected} are needed: {rule}")]
    Length {
        /// The array's name.
        array: &'static str,
        /// Its number of elements.
        got: usize,
        /// The required number.
        expected: usize,
        /// The rule that requires it.
        rule: &'static str,
    },
    /// The batch has no labels.
    #[error(
        "the batch has no labels: call one of Batch::labels, labels_concatenated, labels_sparse, label_paddings"
    )]
    NoLabels,
    /// The number of padded labels is not a multiple of the number of items.
    #[error(
        "labels has {got} elements, which is not a multiple of the {items} items: padded labels are [N, Lmax]"
    )]
    RaggedLabels {
        /// The number of elements.
        got: usize,
        /// The number of items.
        items: usize,
    },
    /// A logit length is negative or larger than the number of frames.
    #[error("item {item}: logit length {length} is out of range: expected 0 to {frames} frames")]
    LogitLength {
        /// The item.
        item: usize,
        /// Its length.
        length: i64,
        /// The frames of the batch.
        frames: usize,
    },
    /// A label length is negative or larger than the number of available labels.
    #[error("item {item}: label length {length} is out of range: expected 0 to {max} labels")]
    LabelLength {
        /// The item.
        item: usize,
        /// Its length.
        length: i64,
        /// The largest valid length.
        max: usize,
    },
    /// A label is not a valid class.
    #[error("item {item}: label {label} at position {position} is out of range: {}", expected(*label, *classes))]
    Label {
        /// The item.
        item: usize,
        /// The label's position among the item's labels.
        position: usize,
        /// The label.
        label: i64,
        /// The number of classes.
        classes: usize,
    },
    /// The blank is among the labels.
    #[error(
        "item {item}: label {label} at position {position} is the blank; BlankInLabels::Allow permits it"
    )]
    BlankLabel {
        /// The item.
        item: usize,
        /// The label's position among the item's labels.
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
    /// The weights of [`Reduction::MeanWeighted`](crate::Reduction::MeanWeighted) are too small or
    /// too large for a sum and a division in f32.
    #[error(
        "weights: their absolute values sum to {sum:.3e}: expected 0, or 1e-30 to 1e37; multiplying all weights by one factor does not change a weighted mean"
    )]
    WeightSum {
        /// The sum of their absolute values.
        sum: f64,
    },
    /// The exponentials of a frame's log-probabilities sum to more than 3. Only decoders and
    /// alignment check this, in the first frame of each item.
    #[error(
        "item {item}: the exponentials of its first frame's log-probabilities sum to {sum:.4}, not to 1: apply log_softmax, or pass raw scores as logits"
    )]
    LogProbs {
        /// The item.
        item: usize,
        /// The sum.
        sum: f64,
    },
    /// A value is above 1.001, or negative in a frame without a positive value. Only decoders and
    /// alignment check this, in the first frame of each item.
    #[error(
        "item {item}: {value} is not a probability (class {class} of its first frame): pass log-probabilities as such, and raw scores as logits"
    )]
    Probs {
        /// The item.
        item: usize,
        /// The class.
        class: usize,
        /// The value.
        value: f32,
    },
    /// The `min_probability` of [`BeamOptions`](crate::decode::BeamOptions) is out of range.
    #[error("min_probability {0} is out of range: expected 0 to 1")]
    MinProbability(f64),
    /// A sparse index lies outside the dense shape.
    #[error(
        "sparse label {entry}: index [{row}, {column}] is outside the dense shape [{rows}, {columns}]"
    )]
    SparseIndex {
        /// The index of the entry.
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
    /// A sparse label follows a label of a later row.
    #[error(
        "sparse label {entry}: index [{row}, {column}] is out of order after row {last}: sort the labels by row, then column"
    )]
    SparseRow {
        /// The index of the entry.
        entry: usize,
        /// Its row.
        row: i64,
        /// Its column.
        column: i64,
        /// The row of the entry before it.
        last: usize,
    },
    /// The sparse labels of a row are not sorted, or have gaps.
    #[error(
        "sparse label {entry}: index [{row}, {column}] should be [{row}, {expected}]: the columns of a row must be in order and without gaps"
    )]
    SparseOrder {
        /// The index of the entry.
        entry: usize,
        /// Its row.
        row: i64,
        /// Its column.
        column: i64,
        /// The expected column.
        expected: usize,
    },
    /// A padding mask is not zeros followed by ones.
    #[error(
        "item {item}: {mask} is {value} at position {position}: must be 0 for the valid part, then 1 to the end"
    )]
    Padding {
        /// The name of the mask.
        mask: &'static str,
        /// The item.
        item: usize,
        /// The position.
        position: usize,
        /// The value there.
        value: f32,
    },
}

/// Returns the rule that a label violates. A negative label is most often padding that the label
/// length includes.
fn expected(label: i64, classes: usize) -> String {
    let range = class_range(classes);
    if label < 0 {
        format!("{range}; if it is padding, label_lengths must not count it")
    } else {
        range
    }
}
