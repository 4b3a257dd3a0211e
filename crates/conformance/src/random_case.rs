//! Random batches with random options, compared with the float64 reference.

use std::sync::OnceLock;

use ctc_wgpu::{
    Blank, Error, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs, reference,
};

use super::batch::OwnedBatch;
use super::check::{AllowedError, Computed, Failures, Tolerance, close, well_formed};
use super::golden::log_softmax;
use super::random::{BatchSpec, Rng};

/// A batch with options, whose expected result the reference computes.
#[derive(Debug, Clone)]
pub struct RandomCase {
    /// The name. For a random case, the seed and the options.
    pub name: String,
    /// The batch.
    pub batch: OwnedBatch,
    /// The options.
    pub options: Options,
    expected: OnceLock<Result<Computed, String>>,
}

impl RandomCase {
    /// Creates a case from a batch and options.
    #[must_use]
    pub fn new(name: String, batch: OwnedBatch, options: Options) -> Self {
        Self {
            name,
            batch,
            options,
            expected: OnceLock::new(),
        }
    }

    /// Generates the case of a seed, the same on every machine.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let (batch, options) = generate(seed);
        Self::new(format!("seed {seed} {options:?}"), batch, options)
    }

    /// Compares a result with the reference's, which is computed only once.
    pub fn check(
        &self,
        computed: &Result<Computed, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = &self.name;
        let expected = self.expected.get_or_init(|| {
            reference::loss_and_grad(&self.batch.batch(), &self.options)
                .map(Computed::from)
                .map_err(|error| format!("{name}: the reference: {error}"))
        });
        let (expected, computed) = match (expected, computed) {
            (Ok(expected), Ok(computed)) => (expected, computed),
            (Err(error), _) => return failures.check(false, || error.clone()),
            (_, Err(error)) => return failures.check(false, || format!("{name}: error {error}")),
        };
        if !well_formed(name, &self.batch, computed, failures) {
            return;
        }
        let (got, right) = (&computed.status, &expected.status);
        failures.check(got == right, || {
            format!("{name}: status {got:?}, expected {right:?}")
        });
        let allowed = AllowedError::of_exact(tolerance.loss);
        for (item, (got, expected)) in computed.loss.iter().zip(&expected.loss).enumerate() {
            failures.loss(*got, *expected, allowed, || format!("{name} item {item}"));
        }
        failures.check(same_reduced(computed, expected, tolerance), || {
            format!(
                "{name}: reduced {:?}, expected {:?}",
                computed.reduced, expected.reduced
            )
        });
        let allowed = AllowedError {
            scale: self.batch.largest_weight(),
            ..AllowedError::of_exact(tolerance.grad)
        };
        for (at, (got, expected)) in computed.grad.iter().zip(&expected.grad).enumerate() {
            failures.grad(*got, *expected, allowed, || {
                let [item, frame, class] = self.batch.position(at);
                format!("{name} item {item} frame {frame} class {class}")
            });
        }
    }
}

fn same_reduced(computed: &Computed, expected: &Computed, tolerance: Tolerance) -> bool {
    let sum_of_magnitudes: f64 = expected.loss.iter().map(|l| l.abs()).sum();
    match (computed.reduced, expected.reduced) {
        (None, None) => true,
        // Terms of both signs may cancel, so the error is relative to the sum of their magnitudes.
        (Some(got), Some(expected)) if expected.is_finite() => {
            let magnitude = expected.abs().max(sum_of_magnitudes).max(1.0);
            (got - expected).abs() <= tolerance.loss * magnitude
        }
        (Some(got), Some(expected)) => close(got, expected, tolerance.loss),
        _ => false,
    }
}

/// Generates the batch and the options of a seed.
pub fn generate(seed: u64) -> (OwnedBatch, Options) {
    let mut rng = Rng::new(seed ^ 0x00C7_C100);
    let classes = 1 + rng.below(40);
    let dims = [1 + rng.below(9), 1 + rng.below(80), classes];
    let blank = rng.below(classes);
    let spec = BatchSpec {
        blank,
        scale: [0.0, 1.0, 4.0, 30.0][rng.below(4)],
        repeats: [0.0, 0.3, 0.9][rng.below(3)],
        minus_infinity: [0.0, 0.0, 0.05][rng.below(3)],
        ragged: rng.chance(0.7),
        weights: rng.chance(0.5),
        concatenated: rng.chance(0.3),
        ..BatchSpec::new(dims, rng.below(30))
    };
    let mut batch = spec.batch(seed);
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
    let options = Options::default()
        .blank(Blank::Index(blank as u32))
        .input(input)
        // Not the mean over weights, whose divisor may be as small as rounding errors. The table of
        // semantics tests it.
        .reduction(reductions[rng.below(6)])
        .impossible(if rng.chance(0.3) {
            Impossible::Zero
        } else {
            Impossible::Infinity
        })
        .repeated_labels(if rng.chance(0.2) {
            RepeatedLabels::Collapse
        } else {
            RepeatedLabels::Keep
        })
        .repeated_outputs(if rng.chance(0.2) {
            RepeatedOutputs::Distinct
        } else {
            RepeatedOutputs::Merge
        });
    (batch, options)
}

/// Returns the batch with its values replaced by their log-softmax.
#[must_use]
pub fn log_probs(batch: &OwnedBatch) -> OwnedBatch {
    let wide: Vec<f64> = batch.values.iter().map(|x| f64::from(*x)).collect();
    let logs = log_softmax(&wide, batch.classes());
    OwnedBatch {
        values: logs.iter().map(|x| *x as f32).collect(),
        ..batch.clone()
    }
}
