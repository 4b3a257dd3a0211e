//! Values on both sides of each threshold beyond which a finite number counts as a probability of
//! 0, or as not finite; and negative losses.

use ctc_wgpu::{BlankInLabels, Input, Status};

use super::ordinary_items::default_options;
use super::{ExpectedItem, Grad, Loss, SemanticsCase, impossible, not_finite, ordinary, row};
use crate::batch::OwnedBatch;

/// The largest f32 below `THRESHOLD`.
const BELOW_THRESHOLD: f32 = 1_073_741_760.0;
/// From this many nats on, a probability counts as 0: 2^30.
const THRESHOLD: f32 = 1_073_741_824.0;
/// The smallest probability that does not count as 0.
const MIN_PROB: f32 = 1.2e-38;

/// One frame, in which label 1 has the value `x` and the blank has 0.
fn needed(x: f32) -> OwnedBatch {
    OwnedBatch::one([1, 2], vec![0.0, x], &[1])
}

/// The result if the label takes the frame: its loss and its gradient.
fn costs<const C: usize>(loss: f32, grad: [f64; C]) -> Vec<ExpectedItem> {
    vec![ExpectedItem {
        loss: Loss::Exact(loss.into()),
        status: Status::Ok,
        grad: Grad::Exact(grad.to_vec()),
    }]
}

pub(super) fn rows() -> Vec<SemanticsCase> {
    let options = default_options().blank(ctc_wgpu::Blank::Index(0));
    let input = |input| options.input(input);
    let none = || vec![impossible(Loss::Inf)];
    let masked = |name, x: f32| row(name, needed(x), options, costs(-x, [1.0, -1.0]));
    let unneeded = |x: f32| {
        let values = vec![0.5, -0.25, x, 0.125, x, x];
        OwnedBatch::one([2, 3], values, &[1])
    };
    let twice = |x: f32| OwnedBatch::one([2, 3], vec![0.0, x, x, 0.0, x, x], &[1, 2]);
    let certain = OwnedBatch::one([2, 2], vec![30.0, 0.0, 30.0, 0.0], &[0]);
    vec![
        masked("a needed logit at the lowest f16 is exact", -65504.0),
        masked("a needed logit at -1e6 is exact", -1.0e6),
        masked("a needed logit at -1e9 is exact", -1.0e9),
        masked(
            "a needed logit just below the threshold is exact",
            -BELOW_THRESHOLD,
        ),
        row(
            "a needed logit at the threshold is a probability of 0",
            needed(-THRESHOLD),
            options,
            none(),
        ),
        row(
            "a needed logit at the lowest f32 is a probability of 0",
            needed(f32::MIN),
            options,
            none(),
        ),
        row(
            "a logit of 65504 and one of -65504 in one frame",
            OwnedBatch::one([1, 2], vec![65504.0, -65504.0], &[1]),
            options,
            costs(131_008.0, [1.0, -1.0]),
        ),
        row(
            "logits at -1e9 in classes that no label needs",
            unneeded(-1.0e9),
            options,
            vec![ordinary()],
        ),
        row(
            "logits at the lowest f32 in classes that no label needs",
            unneeded(f32::MIN),
            options,
            vec![ordinary()],
        ),
        row(
            "the threshold applies to the whole item: a loss below it",
            twice(-5.0e8),
            options,
            vec![ExpectedItem {
                loss: Loss::Exact(1.0e9),
                status: Status::Ok,
                grad: Grad::Exact(vec![1.0, -1.0, 0.0, 1.0, 0.0, -1.0]),
            }],
        ),
        row(
            "the threshold applies to the whole item: a loss above it",
            twice(-6.0e8),
            options,
            none(),
        ),
        row(
            "the threshold applies to the whole item: an improbable label, then an improbable frame",
            OwnedBatch::one(
                [2, 3],
                vec![-1.05e9, -1.05e9, 0.0, -5.0e8, -5.0e8, -5.0e8],
                &[1],
            ),
            input(Input::LogProbs),
            none(),
        ),
        row(
            "a needed log-probability just below the threshold is exact",
            needed(-BELOW_THRESHOLD),
            input(Input::LogProbs),
            costs(BELOW_THRESHOLD, [1.0, -1.0]),
        ),
        row(
            "a needed log-probability at the threshold is a probability of 0",
            needed(-THRESHOLD),
            input(Input::LogProbsExact),
            none(),
        ),
        row(
            "log-probabilities 2^30 apart, both within the threshold",
            OwnedBatch::one(
                [1, 3],
                vec![f32::NEG_INFINITY, 64.0, -THRESHOLD + 64.0],
                &[2],
            ),
            input(Input::LogProbsExact),
            costs(THRESHOLD - 64.0, [0.0, 0.0, -1.0]),
        ),
        row(
            "a log-probability at the threshold counts as 0 for any values in the other frames",
            OwnedBatch::one(
                [2, 3],
                vec![f32::NEG_INFINITY, 0.0, -THRESHOLD, 80.0, 80.0, 80.0],
                &[2, 1],
            ),
            input(Input::LogProbsExact),
            none(),
        ),
        row(
            "a frame of log-probabilities that all count as 0 gives NaN",
            OwnedBatch::one([1, 2], vec![-THRESHOLD, -1.0e34], &[1]),
            input(Input::LogProbsExact),
            vec![not_finite()],
        ),
        row(
            "a log-probability of 88 is accepted",
            needed(88.0),
            input(Input::LogProbsExact),
            costs(-88.0, [0.0, -1.0]),
        ),
        row(
            "probabilities far below that of a score of 88 keep their gradients",
            OwnedBatch::one([1, 4], vec![88.0, -0.5, 0.0, f32::NEG_INFINITY], &[2]),
            input(Input::LogProbs),
            costs(0.0, [88.0_f64.exp(), (-0.5_f64).exp(), 0.0, 0.0]),
        ),
        row(
            "a log-probability above 88 gives NaN",
            needed(88.5),
            input(Input::LogProbs),
            vec![not_finite()],
        ),
        row(
            "a probability at the threshold is not 0",
            OwnedBatch::one([1, 2], vec![MIN_PROB; 2], &[1]),
            input(Input::Probs { epsilon: 0.0 }),
            vec![ordinary()],
        ),
        row(
            "a probability just below the threshold is 0",
            OwnedBatch::one([1, 2], vec![MIN_PROB, MIN_PROB.next_down()], &[1]),
            input(Input::Probs { epsilon: 0.0 }),
            none(),
        ),
        row(
            "a probability just below the threshold is 0 in the sum over the classes too",
            OwnedBatch::one([1, 2], vec![MIN_PROB, MIN_PROB.next_down()], &[]),
            input(Input::Probs { epsilon: 0.0 }),
            costs(0.0, [0.0, 1.0 / f64::from(MIN_PROB)]),
        ),
        row(
            "with the blank among the labels, paths are counted more than once, so a loss may be negative",
            certain,
            options.blank_in_labels(BlankInLabels::Allow),
            vec![ordinary()],
        ),
    ]
}
