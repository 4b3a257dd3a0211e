//! Batches that are rejected before anything runs, with the error messages.
//!
//! These inputs would give a wrong result or an out-of-bounds read. Several other libraries return
//! a number instead of an error.

use ctc_wgpu::{Blank, Error, Impossible, Input, InputError, Options, ParameterError, Reduction};

use super::{Expected, SemanticsCase};
use crate::batch::{OwnedBatch, OwnedLabels};
use crate::random::BatchSpec;

fn batch(labels: &[&[i32]]) -> OwnedBatch {
    let mut spec = BatchSpec::new([labels.len(), 4, 4], 0);
    spec.ragged = false;
    let values = spec.batch(11).values;
    OwnedBatch::new([labels.len(), 4, 4], values, labels)
}

fn error(
    name: &'static str,
    batch: OwnedBatch,
    is: fn(&Error) -> bool,
    message: &'static str,
) -> SemanticsCase {
    SemanticsCase {
        name,
        batch,
        options: Options::default(),
        expected: Expected::Error(is, message),
    }
}

/// A mean over two weights whose magnitudes sum to a number that f32 cannot represent or divide by.
fn weight_sum(name: &'static str, weights: [f32; 2], message: &'static str) -> SemanticsCase {
    let rejected = |error: &Error| matches!(error, Error::Input(InputError::WeightSum { .. }));
    let row = error(
        name,
        batch(&[&[1, 2], &[3]]).weights(&weights),
        rejected,
        message,
    );
    let options = Options::default().reduction(Reduction::MeanWeighted);
    with(row, options)
}

fn with(row: SemanticsCase, options: Options) -> SemanticsCase {
    SemanticsCase { options, ..row }
}

/// Creates a predicate for a kind of [`InputError`].
macro_rules! input {
    ($pattern:pat) => {
        |error| matches!(error, Error::Input($pattern))
    };
}

fn padded(values: &[i32], lengths: &[i32]) -> OwnedLabels {
    OwnedLabels::Padded {
        values: values.to_vec(),
        lengths: lengths.to_vec(),
    }
}

fn sparse(indices: &[[i64; 2]], values: &[i32], shape: [usize; 2]) -> OwnedLabels {
    OwnedLabels::Sparse {
        indices: indices.to_vec(),
        values: values.to_vec(),
        shape,
    }
}

pub(super) fn rows() -> Vec<SemanticsCase> {
    let two = || batch(&[&[1, 2], &[3]]);
    let probs = |epsilon| Options::default().input(Input::Probs { epsilon });
    let blank = |blank| Options::default().blank(blank);
    let mut rows = arrays();
    rows.extend([
        with(
            error(
                "a blank that is not a valid class is rejected",
                two(),
                input!(InputError::Parameter(ParameterError::Blank {
                    blank: 4,
                    classes: 4
                })),
                "blank 4 is out of range: expected 0 to 3 for 4 classes",
            ),
            blank(Blank::Index(4)),
        ),
        with(
            error(
                "a negative epsilon is rejected",
                two(),
                input!(InputError::Parameter(ParameterError::Epsilon(_))),
                "epsilon -1 must be finite and not negative",
            ),
            probs(-1.0),
        ),
        with(
            error(
                "an epsilon of NaN is rejected",
                two(),
                input!(InputError::Parameter(ParameterError::Epsilon(_))),
                "epsilon NaN must be finite and not negative",
            ),
            probs(f32::NAN),
        ),
        // TensorFlow's dense loss and optax treat this as an empty item: 706.9 and 99999.
        error(
            "a negative logit length is rejected",
            two().logit_lengths(&[4, -1]),
            input!(InputError::LogitLength {
                item: 1,
                length: -1,
                frames: 4
            }),
            "item 1: logit length -1 is out of range: expected 0 to 4 frames",
        ),
        // TensorFlow's dense loss, optax and tf-seq2seq-losses silently use all frames; warp-ctc
        // reads out of bounds.
        error(
            "a logit length above the number of frames is rejected",
            two().logit_lengths(&[5, 4]),
            input!(InputError::LogitLength {
                item: 0,
                length: 5,
                frames: 4
            }),
            "item 0: logit length 5 is out of range: expected 0 to 4 frames",
        ),
        // TensorFlow's dense loss returns 707.7; optax treats this as an empty label.
        error(
            "a negative label length is rejected",
            two().labels(padded(&[1, 2, 3, 3], &[2, -1])),
            input!(InputError::LabelLength {
                item: 1,
                length: -1,
                max: 2
            }),
            "item 1: label length -1 is out of range: expected 0 to 2 labels",
        ),
        // optax truncates the length to the width; TensorFlow's dense loss returns 707.7,
        // tf-seq2seq-losses a wrong number; warp-ctc reads the labels of the next item.
        error(
            "a label length above the width of the row is rejected",
            two().labels(padded(&[1, 2, 3, 3], &[2, 3])),
            input!(InputError::LabelLength {
                item: 1,
                length: 3,
                max: 2
            }),
            "item 1: label length 3 is out of range: expected 0 to 2 labels",
        ),
        // PyTorch reads out of bounds here, on a GPU as well. Keras's CTC, whose documented padding
        // is −1, TensorFlow's dense loss and optax treat −1 as a label of probability 1, so their
        // loss is far too small.
        error(
            "a label of -1 is rejected",
            batch(&[&[1, -1]]),
            input!(InputError::Label {
                item: 0,
                position: 1,
                label: -1,
                classes: 4
            }),
            "item 0: label -1 at position 1 is out of range: expected 0 to 3 for 4 classes; if it is padding, label_lengths must not count it",
        ),
        // PyTorch, TensorFlow's dense loss and optax treat this as they treat −1. TensorFlow's
        // sparse loss silently ends the label there.
        error(
            "a label that is not a valid class is rejected",
            batch(&[&[1, 2], &[3, 4]]),
            input!(InputError::Label {
                item: 1,
                position: 1,
                label: 4,
                classes: 4
            }),
            "item 1: label 4 at position 1 is out of range: expected 0 to 3 for 4 classes",
        ),
        // PyTorch, optax and TensorFlow's dense loss accept the blank as an ordinary label.
        // warp-ctc and Burn accept it with another meaning (12.31 instead of 7.38). It must
        // therefore be allowed explicitly. TensorFlow's sparse loss rejects it too, but silently
        // drops a blank at the end of the labels.
        error(
            "the blank among the labels is rejected",
            batch(&[&[1, 0, 2]]),
            input!(InputError::BlankLabel {
                item: 0,
                position: 1,
                label: 0
            }),
            "item 0: label 0 at position 1 is the blank; BlankInLabels::Allow permits it",
        ),
        error(
            "a weight that is not finite is rejected",
            two().weights(&[1.0, f32::INFINITY]),
            input!(InputError::Weight { item: 1, .. }),
            "item 1: weight inf is not finite",
        ),
        weight_sum(
            "a mean over weights whose sum overflows f32 is rejected",
            [3e38, 3e38],
            "weights: their absolute values sum to 6.000e38: expected 0, or 1e-30 to 1e37; multiplying all weights by one factor does not change a weighted mean",
        ),
        weight_sum(
            "a mean over subnormal weights is rejected",
            [1e-40, 0.0],
            "weights: their absolute values sum to 1.000e-40: expected 0, or 1e-30 to 1e37; multiplying all weights by one factor does not change a weighted mean",
        ),
        with(
            error(
                "an impossible item is an error if the options require it",
                batch(&[&[1, 2], &[3, 3, 3]]),
                |error| {
                    matches!(
                        error,
                        Error::Impossible {
                            item: 1,
                            labels: 3,
                            frames: 4
                        }
                    )
                },
                "item 1: no valid alignment of its 3 labels with its 4 frames: too few frames, or a needed probability is 0 (Impossible::Error is set)",
            ),
            Options::default().impossible(Impossible::Error),
        ),
    ]);
    rows
}

/// Returns arrays of the wrong size or order.
fn arrays() -> Vec<SemanticsCase> {
    let two = || batch(&[&[1, 2], &[3]]);
    let mut short = two();
    short.values.pop();
    let empty = OwnedBatch::new([1, 3, 0], vec![], &[[]]);
    vec![
        error(
            "a batch without classes is rejected",
            empty,
            input!(InputError::Parameter(ParameterError::Axis {
                axis: "classes C",
                value: 0,
                ..
            })),
            "classes C = 0: must be at least 1: the blank is a class",
        ),
        error(
            "too few logits are rejected",
            short,
            input!(InputError::Length {
                array: "logits",
                got: 31,
                expected: 32,
                ..
            }),
            "logits has 31 elements, but 32 are needed: N·T·C",
        ),
        error(
            "a batch without labels is rejected",
            two().labels(OwnedLabels::Missing),
            input!(InputError::NoLabels),
            "the batch has no labels: call one of Batch::labels, labels_concatenated, labels_sparse, label_paddings",
        ),
        error(
            "labels for a different number of items are rejected",
            two().labels(padded(&[1, 2, 3], &[2, 1])),
            input!(InputError::RaggedLabels { got: 3, items: 2 }),
            "labels has 3 elements, which is not a multiple of the 2 items: padded labels are [N, Lmax]",
        ),
        error(
            "too few label lengths are rejected",
            two().labels(padded(&[1, 2, 3, 3], &[2])),
            input!(InputError::Length {
                array: "label_lengths",
                got: 1,
                expected: 2,
                ..
            }),
            "label_lengths has 1 elements, but 2 are needed: one per item",
        ),
        error(
            "too few logit lengths are rejected",
            two().logit_lengths(&[4]),
            input!(InputError::Length {
                array: "logit_lengths",
                got: 1,
                expected: 2,
                ..
            }),
            "logit_lengths has 1 elements, but 2 are needed: one per item",
        ),
        error(
            "too few weights are rejected",
            two().weights(&[1.0]),
            input!(InputError::Length {
                array: "weights",
                got: 1,
                expected: 2,
                ..
            }),
            "weights has 1 elements, but 2 are needed: one per item",
        ),
        error(
            "more concatenated labels than the lengths count are rejected",
            two().labels(OwnedLabels::Concatenated {
                values: vec![1, 2, 3, 3],
                lengths: vec![2, 1],
            }),
            input!(InputError::Length {
                array: "labels",
                got: 4,
                expected: 3,
                ..
            }),
            "labels has 4 elements, but 3 are needed: the sum of label_lengths",
        ),
        error(
            "fewer concatenated labels than the lengths count are rejected",
            two().labels(OwnedLabels::Concatenated {
                values: vec![1, 2, 3],
                lengths: vec![2, 2],
            }),
            input!(InputError::LabelLength {
                item: 1,
                length: 2,
                max: 1
            }),
            "item 1: label length 2 is out of range: expected 0 to 1 labels",
        ),
        error(
            "a sparse index outside of the dense shape is rejected",
            two().labels(sparse(&[[0, 0], [0, 2]], &[1, 2], [2, 2])),
            input!(InputError::SparseIndex {
                entry: 1,
                row: 0,
                column: 2,
                rows: 2,
                columns: 2
            }),
            "sparse label 1: index [0, 2] is outside the dense shape [2, 2]",
        ),
        error(
            "a negative sparse index is rejected",
            two().labels(sparse(&[[-1, 0]], &[1], [2, 2])),
            input!(InputError::SparseIndex {
                entry: 0,
                row: -1,
                ..
            }),
            "sparse label 0: index [-1, 0] is outside the dense shape [2, 2]",
        ),
        error(
            "sparse labels with a gap in a row are rejected",
            two().labels(sparse(&[[0, 0], [1, 1]], &[1, 2], [2, 2])),
            input!(InputError::SparseOrder {
                entry: 1,
                row: 1,
                column: 1,
                expected: 0
            }),
            "sparse label 1: index [1, 1] should be [1, 0]: the columns of a row must be in order and without gaps",
        ),
        error(
            "sparse labels out of order are rejected",
            two().labels(sparse(&[[1, 0], [0, 0]], &[1, 2], [2, 2])),
            input!(InputError::SparseRow {
                entry: 1,
                row: 0,
                column: 0,
                last: 1
            }),
            "sparse label 1: index [0, 0] is out of order after row 1: sort the labels by row, then column",
        ),
        error(
            "a sparse shape for a different number of items is rejected",
            two().labels(sparse(&[[0, 0]], &[1], [3, 2])),
            input!(InputError::Length {
                array: "sparse shape's first axis",
                got: 3,
                expected: 2,
                ..
            }),
            "sparse shape's first axis has 3 elements, but 2 are needed: the number of items",
        ),
        error(
            "a label mask with a gap is rejected",
            two().labels(OwnedLabels::Masked {
                values: vec![1, 2, 3, 3],
                paddings: vec![0.0, 0.0, 1.0, 0.0],
            }),
            input!(InputError::Padding {
                mask: "label_paddings",
                item: 1,
                position: 1,
                ..
            }),
            "item 1: label_paddings is 0 at position 1: must be 0 for the valid part, then 1 to the end",
        ),
        error(
            "a frame mask with a value other than 0 and 1 is rejected",
            two().logit_paddings(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0]),
            input!(InputError::Padding {
                mask: "logit_paddings",
                item: 1,
                position: 1,
                ..
            }),
            "item 1: logit_paddings is 0.5 at position 1: must be 0 for the valid part, then 1 to the end",
        ),
    ]
}
