//! What is refused before anything runs, with the message that the caller reads.
//!
//! The host calls refuse what would be a wrong answer or a read out of bounds: several peers give a number instead.

use crate::{Blank, Error, Impossible, Input, InputError, Options, ParameterError, Reduction};

use super::{Expected, Row};
use crate::conformance::batch::{OwnedBatch, OwnedLabels};
use crate::conformance::random::Recipe;

fn batch(labels: &[&[i32]]) -> OwnedBatch {
    let mut recipe = Recipe::new([labels.len(), 4, 4], 0);
    recipe.ragged = false;
    let values = recipe.batch(11).values;
    OwnedBatch::new([labels.len(), 4, 4], values, labels)
}

fn error(name: &'static str, batch: OwnedBatch, is: fn(&Error) -> bool, says: &'static str) -> Row {
    Row {
        name,
        batch,
        options: Options::default(),
        expected: Expected::Error(is, says),
    }
}

/// A mean over two weights whose sizes sum to what a device cannot hold or divide by.
fn weight_sum(name: &'static str, weights: [f32; 2], says: &'static str) -> Row {
    let refused = |error: &Error| matches!(error, Error::Input(InputError::WeightSum { .. }));
    let row = error(
        name,
        batch(&[&[1, 2], &[3]]).weights(&weights),
        refused,
        says,
    );
    let options = Options {
        reduction: Reduction::MeanWeighted,
        ..Options::default()
    };
    with(row, options)
}

fn with(row: Row, options: Options) -> Row {
    Row { options, ..row }
}

/// A predicate for a kind of [`InputError`].
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

pub(super) fn rows() -> Vec<Row> {
    let two = || batch(&[&[1, 2], &[3]]);
    let probs = |epsilon| Options {
        input: Input::Probs { epsilon },
        ..Options::default()
    };
    let blank = |blank| Options {
        blank,
        ..Options::default()
    };
    let mut rows = arrays();
    rows.extend([
        with(
            error(
                "a blank that is no class is refused",
                two(),
                input!(InputError::Parameter(ParameterError::Blank {
                    blank: 4,
                    classes: 4
                })),
                "blank 4 is not below 4 classes",
            ),
            blank(Blank::Index(4)),
        ),
        with(
            error(
                "a negative epsilon is refused",
                two(),
                input!(InputError::Parameter(ParameterError::Epsilon(_))),
                "epsilon -1 must be finite and not negative",
            ),
            probs(-1.0),
        ),
        with(
            error(
                "an epsilon of NaN is refused",
                two(),
                input!(InputError::Parameter(ParameterError::Epsilon(_))),
                "epsilon NaN must be finite and not negative",
            ),
            probs(f32::NAN),
        ),
        // TensorFlow's dense loss and optax take it for an empty item: 706.9 and 99999.
        error(
            "a negative logit length is refused",
            two().logit_lengths(&[4, -1]),
            input!(InputError::LogitLength {
                item: 1,
                length: -1,
                frames: 4
            }),
            "item 1: logit length -1 is not within 0..=4 frames",
        ),
        // TensorFlow's dense loss, optax and tf-seq2seq-losses silently take all frames; warp-ctc reads past the end.
        error(
            "a logit length above the frames is refused",
            two().logit_lengths(&[5, 4]),
            input!(InputError::LogitLength {
                item: 0,
                length: 5,
                frames: 4
            }),
            "item 0: logit length 5 is not within 0..=4 frames",
        ),
        // TensorFlow's dense loss answers 707.7, optax takes it for an empty label.
        error(
            "a negative label length is refused",
            two().labels(padded(&[1, 2, 3, 3], &[2, -1])),
            input!(InputError::LabelLength {
                item: 1,
                length: -1,
                max: 2
            }),
            "item 1: label length -1 is not within 0..=2 labels",
        ),
        // optax cuts it to the width; TensorFlow's dense loss answers 707.7, tf-seq2seq-losses a wrong number; warp-ctc
        // reads the next item's labels.
        error(
            "a label length above the row is refused",
            two().labels(padded(&[1, 2, 3, 3], &[2, 3])),
            input!(InputError::LabelLength {
                item: 1,
                length: 3,
                max: 2
            }),
            "item 1: label length 3 is not within 0..=2 labels",
        ),
        // PyTorch reads out of bounds here, on a GPU as well. Keras's CTC, which pads with −1 by its own recipe, TensorFlow's
        // dense loss and optax take it for a label of probability 1, and so report a loss far too small.
        error(
            "a label of -1 is refused",
            batch(&[&[1, -1]]),
            input!(InputError::Label {
                item: 0,
                position: 1,
                label: -1,
                classes: 4
            }),
            "item 0: label -1 at position 1 is negative, not within 0..4: if it is padding, label_lengths must not count it",
        ),
        // The same in PyTorch, TensorFlow's dense loss and optax; TensorFlow's sparse one ends the label there, silently.
        error(
            "a label that is no class is refused",
            batch(&[&[1, 2], &[3, 4]]),
            input!(InputError::Label {
                item: 1,
                position: 1,
                label: 4,
                classes: 4
            }),
            "item 1: label 4 at position 1 is not below 4 classes",
        ),
        // Accepted by PyTorch, optax and TensorFlow's dense loss as a label of its own, and by warp-ctc and Burn with another
        // meaning (12.31 for 7.38): who means it says so. TensorFlow's sparse loss refuses it too, but drops a trailing one.
        error(
            "the blank among the labels is refused",
            batch(&[&[1, 0, 2]]),
            input!(InputError::BlankLabel {
                item: 0,
                position: 1,
                label: 0
            }),
            "item 0: label 0 at position 1 is the blank; BlankInLabels::Allow permits it",
        ),
        error(
            "a weight that is not finite is refused",
            two().weights(&[1.0, f32::INFINITY]),
            input!(InputError::Weight { item: 1, .. }),
            "item 1: weight inf is not finite",
        ),
        weight_sum(
            "a mean over weights whose sum no f32 holds is refused",
            [3e38, 3e38],
            "weights: their sizes sum to 6.000e38, not to 0 or within 1e-30..=1e37: a mean over them stays the same when all are multiplied by one number",
        ),
        weight_sum(
            "a mean over subnormal weights is refused",
            [1e-40, 0.0],
            "weights: their sizes sum to 1.000e-40, not to 0 or within 1e-30..=1e37: a mean over them stays the same when all are multiplied by one number",
        ),
        with(
            error(
                "an impossible item is an error where that is asked for",
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
                "item 1: no alignment of its 3 labels fits its 4 frames (Impossible::Error is set)",
            ),
            Options {
                impossible: Impossible::Error,
                ..Options::default()
            },
        ),
    ]);
    rows
}

/// Arrays of the wrong size or order.
fn arrays() -> Vec<Row> {
    let two = || batch(&[&[1, 2], &[3]]);
    let mut short = two();
    short.values.pop();
    let empty = OwnedBatch::new([1, 3, 0], vec![], &[[]]);
    vec![
        error(
            "no classes are refused",
            empty,
            input!(InputError::Parameter(ParameterError::Axis {
                axis: "classes C",
                value: 0,
                ..
            })),
            "classes C = 0: must be at least 1: the blank is a class",
        ),
        error(
            "too few logits are refused",
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
            "a batch without labels is refused",
            two().labels(OwnedLabels::Missing),
            input!(InputError::NoLabels),
            "the batch has no labels: call one of Batch::labels, labels_concatenated, labels_sparse, label_paddings",
        ),
        error(
            "labels of another number of items are refused",
            two().labels(padded(&[1, 2, 3], &[2, 1])),
            input!(InputError::RaggedLabels { got: 3, items: 2 }),
            "labels has 3 elements, which is not a multiple of the 2 items: padded labels are [N, Lmax]",
        ),
        error(
            "too few label lengths are refused",
            two().labels(padded(&[1, 2, 3, 3], &[2])),
            input!(InputError::Length {
                array: "label_lengths",
                got: 1,
                expected: 2,
                ..
            }),
            "label_lengths has 1 elements, but 2 are needed: one an item",
        ),
        error(
            "too few logit lengths are refused",
            two().logit_lengths(&[4]),
            input!(InputError::Length {
                array: "logit_lengths",
                got: 1,
                expected: 2,
                ..
            }),
            "logit_lengths has 1 elements, but 2 are needed: one an item",
        ),
        error(
            "too few weights are refused",
            two().weights(&[1.0]),
            input!(InputError::Length {
                array: "weights",
                got: 1,
                expected: 2,
                ..
            }),
            "weights has 1 elements, but 2 are needed: one an item",
        ),
        error(
            "concatenated labels left over are refused",
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
            "concatenated labels that run out are refused",
            two().labels(OwnedLabels::Concatenated {
                values: vec![1, 2, 3],
                lengths: vec![2, 2],
            }),
            input!(InputError::LabelLength {
                item: 1,
                length: 2,
                max: 1
            }),
            "item 1: label length 2 is not within 0..=1 labels",
        ),
        error(
            "a sparse index outside its shape is refused",
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
            "a negative sparse index is refused",
            two().labels(sparse(&[[-1, 0]], &[1], [2, 2])),
            input!(InputError::SparseIndex {
                entry: 0,
                row: -1,
                ..
            }),
            "sparse label 0: index [-1, 0] is outside the dense shape [2, 2]",
        ),
        error(
            "sparse labels with a hole are refused",
            two().labels(sparse(&[[0, 0], [1, 1]], &[1, 2], [2, 2])),
            input!(InputError::SparseOrder {
                entry: 1,
                row: 1,
                column: 1,
                expected: 0
            }),
            "sparse label 1: index [1, 1] should be [1, 0]: rows in order, each without holes",
        ),
        error(
            "sparse labels out of order are refused",
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
            "a sparse shape of another number of items is refused",
            two().labels(sparse(&[[0, 0]], &[1], [3, 2])),
            input!(InputError::Length {
                array: "sparse shape's first axis",
                got: 3,
                expected: 2,
                ..
            }),
            "sparse shape's first axis has 3 elements, but 2 are needed: N",
        ),
        error(
            "a label mask with a hole is refused",
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
            "item 1: label_paddings is 0 at position 1: must be 0 for what counts, then 1 to the end",
        ),
        error(
            "a frame mask that is neither 0 nor 1 is refused",
            two().logit_paddings(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0]),
            input!(InputError::Padding {
                mask: "logit_paddings",
                item: 1,
                position: 1,
                ..
            }),
            "item 1: logit_paddings is 0.5 at position 1: must be 0 for what counts, then 1 to the end",
        ),
    ]
}
