//! What can be wrong with a batch on the host.

use super::ParameterError;

/// A rule that a batch breaks.
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
