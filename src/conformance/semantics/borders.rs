//! Where a finite number begins to count as a probability of 0 or as none, both sides of each border; and losses below 0.

use crate::{BlankInLabels, Input, Options, Status};

use super::product::usual_options;
use super::{Grad, Item, Loss, Row, impossible, not_finite, row, usual};
use crate::conformance::batch::OwnedBatch;

/// The largest f32 below 2^28, the nats from which on a probability counts as 0.
const INSIDE: f32 = 268_435_440.0;
const LEAST: f32 = 268_435_456.0;
/// The smallest probability that counts.
const SMALLEST: f32 = 1.2e-38;

/// One frame, in which label 1 stands at `x` and the blank at 0.
fn needed(x: f32) -> OwnedBatch {
    OwnedBatch::one([1, 2], vec![0.0, x], &[1])
}

/// The label takes the frame, whatever it costs.
fn costs<const C: usize>(loss: f32, grad: [f64; C]) -> Vec<Item> {
    vec![Item {
        loss: Loss::Exact(loss.into()),
        status: Status::Ok,
        grad: Grad::Exact(grad.to_vec()),
    }]
}

pub(super) fn rows() -> Vec<Row> {
    let options = Options {
        blank: crate::Blank::Index(0),
        ..usual_options()
    };
    let input = |input| Options { input, ..options };
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
        masked("a needed logit just inside the border is exact", -INSIDE),
        row(
            "a needed logit at the border is a probability of 0",
            needed(-LEAST),
            options,
            none(),
        ),
        row(
            "a needed logit at -1e9 is a probability of 0",
            needed(-1.0e9),
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
            "a logit of 65504 beside the lowest f16",
            OwnedBatch::one([1, 2], vec![65504.0, -65504.0], &[1]),
            options,
            costs(131_008.0, [1.0, -1.0]),
        ),
        row(
            "logits at -1e9 that no label needs",
            unneeded(-1.0e9),
            options,
            vec![usual()],
        ),
        row(
            "logits at the lowest f32 that no label needs",
            unneeded(f32::MIN),
            options,
            vec![usual()],
        ),
        row(
            "the border is of the whole item: inside",
            twice(-1.25e8),
            options,
            vec![Item {
                loss: Loss::Exact(2.5e8),
                status: Status::Ok,
                grad: Grad::Exact(vec![1.0, -1.0, 0.0, 1.0, 0.0, -1.0]),
            }],
        ),
        row(
            "the border is of the whole item: beyond",
            twice(-1.5e8),
            options,
            none(),
        ),
        row(
            "a needed log-probability just inside the border is exact",
            needed(-INSIDE),
            input(Input::LogProbs),
            costs(INSIDE, [1.0, -1.0]),
        ),
        row(
            "a needed log-probability at the border is a probability of 0",
            needed(-LEAST),
            input(Input::LogProbsExact),
            none(),
        ),
        row(
            "log-probabilities 2^28 apart, both above the border",
            OwnedBatch::one([1, 3], vec![f32::NEG_INFINITY, 64.0, -LEAST + 64.0], &[2]),
            input(Input::LogProbsExact),
            costs(LEAST - 64.0, [0.0, 0.0, -1.0]),
        ),
        row(
            "a log-probability at the border is 0 whatever other frames have",
            OwnedBatch::one(
                [2, 3],
                vec![f32::NEG_INFINITY, 0.0, -LEAST, 80.0, 80.0, 80.0],
                &[2, 1],
            ),
            input(Input::LogProbsExact),
            none(),
        ),
        row(
            "a frame of log-probabilities that all count as 0 costs NaN",
            OwnedBatch::one([1, 2], vec![-LEAST, -1.0e34], &[1]),
            input(Input::LogProbsExact),
            vec![not_finite()],
        ),
        row(
            "a log-probability of 88 is taken as it is",
            needed(88.0),
            input(Input::LogProbsExact),
            costs(-88.0, [0.0, -1.0]),
        ),
        row(
            "a log-probability above 88 costs NaN",
            needed(88.5),
            input(Input::LogProbs),
            vec![not_finite()],
        ),
        row(
            "a probability at the border counts",
            OwnedBatch::one([1, 2], vec![SMALLEST; 2], &[1]),
            input(Input::Probs { epsilon: 0.0 }),
            vec![usual()],
        ),
        row(
            "a probability just below the border is 0",
            OwnedBatch::one([1, 2], vec![SMALLEST, SMALLEST.next_down()], &[1]),
            input(Input::Probs { epsilon: 0.0 }),
            none(),
        ),
        row(
            "the blank among the labels counts paths more than once, so a loss may be below 0",
            certain,
            Options {
                blank_in_labels: BlankInLabels::Allow,
                ..options
            },
            vec![usual()],
        ),
    ]
}
