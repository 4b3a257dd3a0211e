//! Ordinary items, label and frame layouts, and items without a valid alignment.

use ctc_wgpu::{Blank, Impossible, Options, Reduction, Status};

use super::{
    Expected, ExpectedItem, Grad, Loss, SemanticsCase, impossible, not_finite, ordinary, row,
    zero_loss,
};
use crate::batch::{OwnedBatch, OwnedLabels};
use crate::golden::conformance::sparse;
use crate::random::BatchSpec;

const MINUS_INFINITY: f32 = f32::NEG_INFINITY;

/// Generates logits. The same seed always gives the same logits.
pub(super) fn logits(dims: [usize; 3], seed: u64) -> Vec<f32> {
    BatchSpec::new(dims, 0).batch(seed).values
}

pub(super) fn batch(dims: [usize; 3], labels: &[&[i32]]) -> OwnedBatch {
    OwnedBatch::new(dims, logits(dims, 5), labels)
}

/// Returns the number of paths of `labels` labels through `frames` frames, if neighbouring labels
/// differ: C(T + L, 2L).
fn paths(frames: u32, labels: u32) -> f64 {
    let factor = |i: u32| f64::from(frames - labels + i) / f64::from(i);
    (1..=2 * labels).map(factor).product()
}

pub(super) fn default_options() -> Options {
    Options::default()
}

pub(super) fn rows() -> Vec<SemanticsCase> {
    [ordinary_items(), impossible_items()]
        .into_iter()
        .flatten()
        .collect()
}

fn ordinary_items() -> Vec<SemanticsCase> {
    let options = default_options();
    let two: [&[i32]; 2] = [&[1, 2], &[3, 3]];
    let blank = |blank| options.blank(blank);
    vec![
        row(
            "ordinary items",
            batch([2, 5, 4], &two),
            options,
            vec![ordinary(), ordinary()],
        ),
        row(
            "time-major items",
            batch([2, 5, 4], &two).transposed(),
            options,
            vec![ordinary(), ordinary()],
        ),
        // More states than logits, so that small bindings split the states into segments before the
        // logits into slices.
        row(
            "T = 60 and L = 8, all classes alike",
            OwnedBatch::new([1, 60, 3], vec![0.0; 180], &[[1, 2, 1, 2, 1, 2, 1, 2]]),
            options,
            vec![ExpectedItem {
                loss: Loss::Exact(60.0 * 3.0_f64.ln() - paths(60, 8).ln()),
                status: Status::Ok,
                grad: Grad::Balanced,
            }],
        ),
        row(
            "the blank as a middle class",
            batch([2, 5, 4], &[&[0, 1], &[3, 3]]),
            blank(Blank::Index(2)),
            vec![ordinary(), ordinary()],
        ),
        row(
            "the blank as the last class",
            batch([2, 5, 4], &[&[0, 1], &[2]]),
            blank(Blank::Last),
            vec![ordinary(), ordinary()],
        ),
        row(
            "concatenated labels",
            batch([2, 5, 4], &two).labels(OwnedLabels::Concatenated {
                values: vec![1, 2, 3, 3],
                lengths: vec![2, 2],
            }),
            options,
            vec![ordinary(), ordinary()],
        ),
        row(
            "sparse labels with an empty row",
            batch([3, 5, 4], &[&[], &[], &[]]).labels(sparse(&[vec![1, 2], vec![], vec![3]])),
            options,
            vec![ordinary(), ordinary(), ordinary()],
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
            vec![ordinary(), ordinary()],
        ),
        // The loss is −Σ ln p(blank).
        row(
            "the loss of an empty label is that of the blanks",
            batch([1, 4, 4], &[&[]]),
            options,
            vec![ordinary()],
        ),
        row(
            "an item with no frames and no labels has loss 0",
            batch([2, 3, 4], &[&[], &[1]]).logit_lengths(&[0, 3]),
            options,
            vec![zero_loss(), ordinary()],
        ),
        SemanticsCase {
            expected: Expected::Reduced(vec![], 0.0),
            ..row(
                "an empty batch gives an empty result",
                OwnedBatch::new::<&[i32]>([0, 3, 4], vec![], &[]),
                options.reduction(Reduction::MeanBatch),
                vec![],
            )
        },
        row(
            "a batch without frames has loss 0 for empty labels",
            batch([2, 0, 4], &[&[], &[1]]),
            options,
            vec![zero_loss(), impossible(Loss::Inf)],
        ),
        row(
            "one frame, one label",
            batch([1, 1, 3], &[&[2]]),
            options,
            vec![ordinary()],
        ),
        row(
            "as many labels as frames have one path",
            batch([1, 4, 5], &[&[1, 2, 3, 4]]),
            options,
            vec![ordinary()],
        ),
        row(
            "padding past the label length is ignored",
            batch([1, 4, 4], &[&[1]]).labels(OwnedLabels::Padded {
                values: vec![1, -1, i32::MAX, i32::MIN],
                lengths: vec![1],
            }),
            options,
            vec![ordinary()],
        ),
        row(
            "weights scale the gradient and not the losses",
            batch([3, 4, 4], &[&[1], &[2, 3], &[1]]).weights(&[0.5, -2.0, 3.25]),
            options,
            vec![ordinary(), ordinary(), ordinary()],
        ),
    ]
}

fn impossible_items() -> Vec<SemanticsCase> {
    let options = default_options();
    let zero = options.impossible(Impossible::Zero);
    let short: [&[i32]; 3] = [&[1, 1, 2], &[1, 2], &[1, 2, 3, 1]];
    let three = |loss| vec![impossible(loss), ordinary(), impossible(loss)];
    let mut blocked = batch([2, 3, 4], &[&[1, 2], &[1, 2]]);
    for t in 0..3 {
        blocked.values[t * 4 + 2] = MINUS_INFINITY;
    }
    let mut silent = batch([1, 3, 4], &[&[]]);
    silent.values[4] = MINUS_INFINITY;
    let mut hidden = batch([2, 2, 4], &[&[1, 2, 3], &[1]]);
    hidden.values[0] = f32::NAN;
    vec![
        row(
            "too few frames give an infinite loss",
            batch([3, 3, 4], &short),
            options,
            three(Loss::Inf),
        ),
        row(
            "too few frames give loss 0 with Impossible::Zero",
            batch([3, 3, 4], &short),
            zero,
            three(Loss::Zero),
        ),
        row(
            "a label of probability 0 gives an infinite loss",
            blocked,
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        row(
            "an empty label and a blank of probability 0 give an infinite loss",
            silent,
            options,
            vec![impossible(Loss::Inf)],
        ),
        row(
            "labels without frames give an infinite loss",
            batch([2, 3, 4], &[&[1], &[1]]).logit_lengths(&[0, 3]),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        row(
            "an impossible item of weight 0 has gradient 0",
            batch([2, 2, 4], &[&[1, 1], &[1]]).weights(&[0.0, 2.0]),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        // A NaN is an error that must stay visible. PyTorch's zero_infinity does not hide it
        // either.
        row(
            "Impossible::Zero does not hide a NaN",
            hidden.clone(),
            zero,
            vec![not_finite(), ordinary()],
        ),
        row(
            "a NaN takes precedence over too few frames",
            hidden,
            options,
            vec![not_finite(), ordinary()],
        ),
        row(
            "Impossible::Error changes nothing if every item has an alignment",
            batch([1, 3, 4], &[&[1, 2]]),
            options.impossible(Impossible::Error),
            vec![ordinary()],
        ),
    ]
}
