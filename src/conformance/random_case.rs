//! Any backend against the reference, on random batches and every option.

use std::sync::OnceLock;

use crate::{
    Blank, Error, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs, reference,
};

use super::batch::OwnedBatch;
use super::check::{Allowed, Answer, Failures, Tolerance, close, well_formed};
use super::golden::log_softmax;
use super::random::{Recipe, Rng};

/// A batch that the reference judges.
#[derive(Debug, Clone)]
pub struct RandomCase {
    /// What it is called; a seed names it whole.
    pub name: String,
    /// The batch.
    pub batch: OwnedBatch,
    /// Its options.
    pub options: Options,
    expected: OnceLock<Result<Answer, String>>,
}

impl RandomCase {
    /// A batch under a name.
    #[must_use]
    pub fn new(name: String, batch: OwnedBatch, options: Options) -> Self {
        Self {
            name,
            batch,
            options,
            expected: OnceLock::new(),
        }
    }

    /// The batch and the options of a seed, the same everywhere.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let (batch, options) = draw(seed);
        Self::new(format!("seed {seed} {options:?}"), batch, options)
    }

    /// Holds an answer against the reference's, which is computed once.
    pub fn judge(
        &self,
        answer: &Result<Answer, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = &self.name;
        let expected = self.expected.get_or_init(|| {
            reference::loss_and_grad(&self.batch.batch(), &self.options)
                .map(Answer::from)
                .map_err(|error| format!("{name}: the reference: {error}"))
        });
        let (expected, answer) = match (expected, answer) {
            (Ok(expected), Ok(answer)) => (expected, answer),
            (Err(error), _) => return failures.check(false, || error.clone()),
            (_, Err(error)) => return failures.check(false, || format!("{name}: error {error}")),
        };
        if !well_formed(name, &self.batch, answer, failures) {
            return;
        }
        let (got, right) = (&answer.status, &expected.status);
        failures.check(got == right, || {
            format!("{name}: status {got:?}, expected {right:?}")
        });
        let allowed = Allowed::exactly(tolerance.loss);
        for (item, (got, expected)) in answer.loss.iter().zip(&expected.loss).enumerate() {
            failures.loss(*got, *expected, allowed, || format!("{name} item {item}"));
        }
        failures.check(same_reduced(answer, expected, tolerance), || {
            format!(
                "{name}: reduced {:?}, expected {:?}",
                answer.reduced, expected.reduced
            )
        });
        let allowed = Allowed {
            scale: self.batch.largest_weight(),
            ..Allowed::exactly(tolerance.grad)
        };
        for (at, (got, expected)) in answer.grad.iter().zip(&expected.grad).enumerate() {
            failures.grad(*got, *expected, allowed, || {
                let [item, frame, class] = self.batch.place(at);
                format!("{name} item {item} frame {frame} class {class}")
            });
        }
    }
}

fn same_reduced(answer: &Answer, expected: &Answer, tolerance: Tolerance) -> bool {
    let sum_of_magnitudes: f64 = expected.loss.iter().map(|l| l.abs()).sum();
    match (answer.reduced, expected.reduced) {
        (None, None) => true,
        // Terms of both signs may cancel, so what they err by is relative to their magnitudes.
        (Some(got), Some(expected)) if expected.is_finite() => {
            let magnitude = expected.abs().max(sum_of_magnitudes).max(1.0);
            (got - expected).abs() <= tolerance.loss * magnitude
        }
        (Some(got), Some(expected)) => close(got, expected, tolerance.loss),
        _ => false,
    }
}

/// A batch and options that a seed names.
pub fn draw(seed: u64) -> (OwnedBatch, Options) {
    let mut rng = Rng::new(seed ^ 0x00C7_C100);
    let classes = 1 + rng.below(40);
    let dims = [1 + rng.below(9), 1 + rng.below(80), classes];
    let blank = rng.below(classes);
    let recipe = Recipe {
        blank,
        scale: [0.0, 1.0, 4.0, 30.0][rng.below(4)],
        repeats: [0.0, 0.3, 0.9][rng.below(3)],
        minus_infinity: [0.0, 0.0, 0.05][rng.below(3)],
        ragged: rng.chance(0.7),
        weights: rng.chance(0.5),
        concatenated: rng.chance(0.3),
        ..Recipe::new(dims, rng.below(30))
    };
    let mut batch = recipe.batch(seed);
    let input = match rng.below(5) {
        0 => Input::LogProbs,
        1 => Input::LogProbsExact,
        2 => Input::Probs { epsilon: 1e-7 },
        _ => Input::Logits,
    };
    if input != Input::Logits {
        batch = log_probs(&batch);
    }
    if let Input::Probs { .. } = input {
        batch.values.iter_mut().for_each(|x| *x = x.exp());
    }
    if rng.chance(0.4) {
        batch = batch.transposed();
    }
    let reductions = [
        Reduction::None,
        Reduction::Sum,
        Reduction::MeanBatch,
        Reduction::MeanLabel,
        Reduction::MeanVolume,
        Reduction::None,
    ];
    let options = Options {
        blank: Blank::Index(blank as u32),
        input,
        // Without the mean over weights, whose divisor may be as small as rounding: it has rows in the table of semantics.
        reduction: reductions[rng.below(6)],
        impossible: if rng.chance(0.3) {
            Impossible::Zero
        } else {
            Impossible::Infinity
        },
        repeated_labels: if rng.chance(0.2) {
            RepeatedLabels::Collapse
        } else {
            RepeatedLabels::Keep
        },
        repeated_outputs: if rng.chance(0.2) {
            RepeatedOutputs::Distinct
        } else {
            RepeatedOutputs::Merge
        },
        ..Options::default()
    };
    (batch, options)
}

/// The batch with the log-softmax of its values.
#[must_use]
pub fn log_probs(batch: &OwnedBatch) -> OwnedBatch {
    let wide: Vec<f64> = batch.values.iter().map(|x| f64::from(*x)).collect();
    let logs = log_softmax(&wide, batch.classes());
    OwnedBatch {
        values: logs.iter().map(|x| *x as f32).collect(),
        ..batch.clone()
    }
}
