//! The reduced loss and its gradient.

use ctc_wgpu::{Impossible, Options, Reduction, RepeatedLabels, Status};

use super::{Expected, ExpectedItem, Grad, Loss, SemanticsCase, impossible, not_finite, row};
use crate::batch::OwnedBatch;

pub(super) fn rows() -> Vec<SemanticsCase> {
    // All logits are equal: each class of a frame has probability 1/4, so the loss is ln 4^T minus
    // the logarithm of the number of paths. In 3 frames [1] has 6 paths, [1, 2] has 5, and [] has
    // 1.
    let flat = |labels: &[&[i32]]| {
        OwnedBatch::new([labels.len(), 3, 4], vec![0.0; labels.len() * 12], labels)
    };
    let nat = |paths: f64| 64.0_f64.ln() - paths.ln();
    let labels: [&[i32]; 3] = [&[1], &[1, 2], &[]];
    let (one, two, none) = (nat(6.0), nat(5.0), nat(1.0));
    // `factor` is the factor by which the reduction multiplies an item's weight.
    let item = |loss, factor| ExpectedItem {
        loss: Loss::Exact(loss),
        status: Status::Ok,
        grad: Grad::Scaled(factor),
    };
    let reduced = |name, batch, reduction, items, expected| SemanticsCase {
        expected: Expected::Reduced(items, expected),
        ..row(name, batch, Options::default().reduction(reduction), vec![])
    };
    let weighted = || flat(&labels).weights(&[0.5, 0.25, -0.5]);
    let sum = 0.5 * one + 0.25 * two - 0.5 * none;
    let items = |factor: f64| vec![item(one, factor), item(two, factor), item(none, factor)];
    let by_length = vec![
        item(one, 1.0 / 3.0),
        item(two, 1.0 / 6.0),
        item(none, 1.0 / 3.0),
    ];
    let by_label = 0.5 * one + 0.25 * two / 2.0 - 0.5 * none;
    let weightless = || ExpectedItem {
        grad: Grad::Zero,
        ..item(one, 0.0)
    };
    let mut poisoned = flat(&[&[1], &[1, 2], &[1, 1, 1]]).weights(&[0.0, 2.0, 0.0]);
    poisoned.values[0] = f32::NAN;
    let zero = Options::default()
        .reduction(Reduction::Sum)
        .impossible(Impossible::Zero);
    vec![
        reduced(
            "a sum",
            flat(&labels),
            Reduction::Sum,
            items(1.0),
            one + two + none,
        ),
        reduced(
            "a weighted sum",
            weighted(),
            Reduction::Sum,
            items(1.0),
            sum,
        ),
        reduced(
            "a mean over the batch",
            weighted(),
            Reduction::MeanBatch,
            items(1.0 / 3.0),
            sum / 3.0,
        ),
        reduced(
            "a mean by label length, in which an empty label has length 1",
            weighted(),
            Reduction::MeanLabel,
            by_length,
            by_label / 3.0,
        ),
        reduced(
            "a mean over all labels",
            weighted(),
            Reduction::MeanVolume,
            items(1.0 / 3.0),
            sum / 3.0,
        ),
        reduced(
            "a mean over the weights",
            weighted(),
            Reduction::MeanWeighted,
            items(4.0),
            sum / 0.25,
        ),
        reduced(
            "a mean over weights that sum to 0 is 0",
            flat(&[&[1], &[1]]).weights(&[1.0, -1.0]),
            Reduction::MeanWeighted,
            vec![weightless(), weightless()],
            0.0,
        ),
        reduced(
            "a mean over weights whose sum is below a thousandth of their magnitudes is 0",
            flat(&[&[1], &[1]]).weights(&[1000.0, -999.5]),
            Reduction::MeanWeighted,
            vec![weightless(), weightless()],
            0.0,
        ),
        reduced(
            "a mean over weights of both signs",
            flat(&[&[1], &[1]]).weights(&[3.0, -2.5]),
            Reduction::MeanWeighted,
            vec![item(one, 2.0), item(one, 2.0)],
            one,
        ),
        reduced(
            "a mean over all labels divides by 1 if there are none",
            flat(&[&[], &[]]),
            Reduction::MeanVolume,
            vec![item(none, 1.0), item(none, 1.0)],
            2.0 * none,
        ),
        reduced(
            "an impossible item makes the sum infinite",
            flat(&[&[1], &[1, 1, 1]]),
            Reduction::Sum,
            vec![item(one, 1.0), impossible(Loss::Inf)],
            f64::INFINITY,
        ),
        reduced(
            "a NaN makes the sum NaN",
            {
                let mut batch = flat(&[&[1], &[1]]);
                batch.values[0] = f32::NAN;
                batch
            },
            Reduction::Sum,
            vec![not_finite(), item(one, 1.0)],
            f64::NAN,
        ),
        reduced(
            "an item of weight 0 adds exactly 0, even if its loss is NaN or infinite",
            poisoned,
            Reduction::Sum,
            {
                let untouched = ExpectedItem {
                    grad: Grad::Zero,
                    ..not_finite()
                };
                let right = ExpectedItem {
                    loss: Loss::Exact(two),
                    status: Status::Ok,
                    grad: Grad::Enumerated,
                };
                vec![untouched, right, impossible(Loss::Inf)]
            },
            2.0 * two,
        ),
        SemanticsCase {
            expected: Expected::Reduced(vec![item(one, 1.0), impossible(Loss::Zero)], one),
            ..row(
                "an impossible item adds 0 to the sum with Impossible::Zero",
                flat(&[&[1], &[1, 1, 1]]),
                zero,
                vec![],
            )
        },
        SemanticsCase {
            expected: Expected::Reduced(
                vec![item(one, 1.0 / 5.0), item(two, 1.0 / 5.0)],
                (one + two) / 5.0,
            ),
            ..row(
                "reductions use the label lengths before collapsing",
                flat(&[&[1, 1], &[1, 2, 2]]),
                Options::default()
                    .reduction(Reduction::MeanVolume)
                    .repeated_labels(RepeatedLabels::Collapse),
                vec![],
            )
        },
    ]
}
