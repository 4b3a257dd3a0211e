//! What the crate promises, line by line.

use crate::{Blank, Impossible, Options, Reduction, Status};

use super::{Expected, Grad, Item, Loss, Row, impossible, not_finite, row, usual};
use crate::conformance::batch::{OwnedBatch, OwnedLabels};
use crate::conformance::golden::conformance::sparse;
use crate::conformance::random::Recipe;

const NEVER: f32 = f32::NEG_INFINITY;

/// Logits of `dims`, always the same for a seed.
pub(super) fn logits(dims: [usize; 3], seed: u64) -> Vec<f32> {
    Recipe::new(dims, 0).batch(seed).values
}

pub(super) fn batch(dims: [usize; 3], labels: &[&[i32]]) -> OwnedBatch {
    OwnedBatch::new(dims, logits(dims, 5), labels)
}

/// Returns the number of paths through `frames` for so many labels, neighbours distinct: C(T + L, 2L).
fn paths(frames: u32, labels: u32) -> f64 {
    let factor = |i: u32| f64::from(frames - labels + i) / f64::from(i);
    (1..=2 * labels).map(factor).product()
}

pub(super) fn usual_options() -> Options {
    Options::default()
}

pub(super) fn rows() -> Vec<Row> {
    [ordinary(), impossible_items()]
        .into_iter()
        .flatten()
        .collect()
}

fn ordinary() -> Vec<Row> {
    let options = usual_options();
    let two: [&[i32]; 2] = [&[1, 2], &[3, 3]];
    let blank = |blank| Options { blank, ..options };
    vec![
        row(
            "usual items",
            batch([2, 5, 4], &two),
            options,
            vec![usual(), usual()],
        ),
        row(
            "time-major items",
            batch([2, 5, 4], &two).transposed(),
            options,
            vec![usual(), usual()],
        ),
        // More states than logits: on a device with small bindings its states are split over time before its logits are.
        row(
            "T = 60 and L = 8, all classes alike",
            OwnedBatch::new([1, 60, 3], vec![0.0; 180], &[[1, 2, 1, 2, 1, 2, 1, 2]]),
            options,
            vec![Item {
                loss: Loss::Exact(60.0 * 3.0_f64.ln() - paths(60, 8).ln()),
                status: Status::Ok,
                grad: Grad::Balanced,
            }],
        ),
        row(
            "a blank in the middle",
            batch([2, 5, 4], &[&[0, 1], &[3, 3]]),
            blank(Blank::Index(2)),
            vec![usual(), usual()],
        ),
        row(
            "a blank that is last",
            batch([2, 5, 4], &[&[0, 1], &[2]]),
            blank(Blank::Last),
            vec![usual(), usual()],
        ),
        row(
            "concatenated labels",
            batch([2, 5, 4], &two).labels(OwnedLabels::Concatenated {
                values: vec![1, 2, 3, 3],
                lengths: vec![2, 2],
            }),
            options,
            vec![usual(), usual()],
        ),
        row(
            "sparse labels, one row of them empty",
            batch([3, 5, 4], &[&[], &[], &[]]).labels(sparse(&[vec![1, 2], vec![], vec![3]])),
            options,
            vec![usual(), usual(), usual()],
        ),
        row(
            "label and frame masks",
            batch([2, 3, 4], &two)
                .labels(OwnedLabels::Masked {
                    values: vec![1, 2, 3, 99],
                    paddings: vec![0.0, 0.0, 0.0, 1.0],
                })
                .logit_paddings(&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
            options,
            vec![usual(), usual()],
        ),
        // Loss −Σ ln p(blank).
        row(
            "an empty label costs the blanks",
            batch([1, 4, 4], &[&[]]),
            options,
            vec![usual()],
        ),
        row(
            "no frame and no label cost nothing",
            batch([2, 3, 4], &[&[], &[1]]).logit_lengths(&[0, 3]),
            options,
            vec![
                Item {
                    loss: Loss::Zero,
                    status: Status::Ok,
                    grad: Grad::Zero,
                },
                usual(),
            ],
        ),
        Row {
            expected: Expected::Reduced(vec![], 0.0),
            ..row(
                "an empty batch is an empty answer",
                OwnedBatch::new::<&[i32]>([0, 3, 4], vec![], &[]),
                Options {
                    reduction: Reduction::MeanBatch,
                    ..options
                },
                vec![],
            )
        },
        row(
            "a batch without frames costs nothing for empty labels",
            batch([2, 0, 4], &[&[], &[1]]),
            options,
            vec![
                Item {
                    loss: Loss::Zero,
                    status: Status::Ok,
                    grad: Grad::Zero,
                },
                impossible(Loss::Inf),
            ],
        ),
        row(
            "one frame, one label",
            batch([1, 1, 3], &[&[2]]),
            options,
            vec![usual()],
        ),
        row(
            "as many labels as frames leave one path",
            batch([1, 4, 5], &[&[1, 2, 3, 4]]),
            options,
            vec![usual()],
        ),
        row(
            "padding past the label length is never looked at",
            batch([1, 4, 4], &[&[1]]).labels(OwnedLabels::Padded {
                values: vec![1, -1, i32::MAX, i32::MIN],
                lengths: vec![1],
            }),
            options,
            vec![usual()],
        ),
        row(
            "weights scale the gradient, not the losses",
            batch([3, 4, 4], &[&[1], &[2, 3], &[1]]).weights(&[0.5, -2.0, 3.25]),
            options,
            vec![usual(), usual(), usual()],
        ),
    ]
}

fn impossible_items() -> Vec<Row> {
    let options = usual_options();
    let zero = Options {
        impossible: Impossible::Zero,
        ..options
    };
    let short: [&[i32]; 3] = [&[1, 1, 2], &[1, 2], &[1, 2, 3, 1]];
    let three = |loss| vec![impossible(loss), usual(), impossible(loss)];
    let mut blocked = batch([2, 3, 4], &[&[1, 2], &[1, 2]]);
    for t in 0..3 {
        blocked.values[t * 4 + 2] = NEVER;
    }
    let mut silent = batch([1, 3, 4], &[&[]]);
    silent.values[4] = NEVER;
    let mut hidden = batch([2, 2, 4], &[&[1, 2, 3], &[1]]);
    hidden.values[0] = f32::NAN;
    vec![
        row(
            "too few frames cost infinity",
            batch([3, 3, 4], &short),
            options,
            three(Loss::Inf),
        ),
        row(
            "too few frames cost nothing where zero is asked for",
            batch([3, 3, 4], &short),
            zero,
            three(Loss::Zero),
        ),
        row(
            "a label of probability 0 costs infinity",
            blocked,
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        row(
            "an empty label whose blank is impossible costs infinity",
            silent,
            options,
            vec![impossible(Loss::Inf)],
        ),
        row(
            "labels without frames cost infinity",
            batch([2, 3, 4], &[&[1], &[1]]).logit_lengths(&[0, 3]),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        row(
            "an impossible item of weight 0 has gradient 0",
            batch([2, 2, 4], &[&[1, 1], &[1]]).weights(&[0.0, 2.0]),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        // A NaN is a fault to be seen, whatever the labels; PyTorch's zero_infinity does not hide it either.
        row(
            "a NaN is not hidden by asking for zero",
            hidden.clone(),
            zero,
            vec![not_finite(), usual()],
        ),
        row(
            "a NaN wins over too few frames",
            hidden,
            options,
            vec![not_finite(), usual()],
        ),
        row(
            "asking for an error changes nothing where all is possible",
            batch([1, 3, 4], &[&[1, 2]]),
            Options {
                impossible: Impossible::Error,
                ..options
            },
            vec![usual()],
        ),
    ]
}
