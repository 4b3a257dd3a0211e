//! Any backend against the reference, on random batches and every option.

use ctc_wgpu::{
    Blank, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs, reference,
};

use super::batch::OwnedBatch;
use super::check::{Answer, Failures, Run, Tolerance, close, well_formed};
use super::golden::log_softmax;
use super::random::{Recipe, Rng};

/// Answers to `seeds` random batches: the same seed is the same batch and the same options everywhere.
pub(crate) fn run_random(run: &Run<'_>, tolerance: Tolerance, seeds: std::ops::Range<u64>) {
    let mut failures = Failures::default();
    for seed in seeds {
        let (batch, options) = draw(seed);
        let mut case = Failures::default();
        compare(
            &format!("seed {seed} {options:?}"),
            &batch,
            &options,
            run,
            tolerance,
            &mut case,
        );
        failures.case(case);
    }
    failures.finish("random batches");
}

/// Holds one answer against the reference's.
pub(crate) fn compare(
    name: &str,
    batch: &OwnedBatch,
    options: &Options,
    run: &Run<'_>,
    tolerance: Tolerance,
    failures: &mut Failures,
) {
    let expected = Answer::from(reference::loss_and_grad(&batch.batch(), options).unwrap());
    let answer = match run(&batch.batch(), options) {
        Ok(answer) => answer,
        Err(error) => return failures.check(false, || format!("{name}: error {error}")),
    };
    well_formed(name, batch, &answer, failures);
    let (got, right) = (&answer.status, &expected.status);
    failures.check(got == right, || {
        format!("{name}: status {got:?}, expected {right:?}")
    });
    for (item, (got, expected)) in answer.loss.iter().zip(&expected.loss).enumerate() {
        failures.check(close(*got, *expected, tolerance.loss), || {
            format!("{name} item {item}: loss {got:e}, expected {expected:e}")
        });
    }
    let sum_of_magnitudes: f64 = expected.loss.iter().map(|l| l.abs()).sum();
    let reduced = match (answer.reduced, expected.reduced) {
        (None, None) => true,
        // Terms of both signs may cancel, so what they err by is relative to their magnitudes.
        (Some(got), Some(expected)) if expected.is_finite() => {
            let magnitude = expected.abs().max(sum_of_magnitudes).max(1.0);
            (got - expected).abs() <= tolerance.loss * magnitude
        }
        (Some(got), Some(expected)) => close(got, expected, tolerance.loss),
        _ => false,
    };
    failures.check(reduced, || {
        format!(
            "{name}: reduced {:?}, expected {:?}",
            answer.reduced, expected.reduced
        )
    });
    let largest = batch
        .weights
        .iter()
        .flatten()
        .fold(1.0, |m: f32, w| m.max(w.abs()));
    for (at, (got, expected)) in answer.grad.iter().zip(&expected.grad).enumerate() {
        let [item, frame, class] = batch.place(at);
        failures.check(close(*got, *expected, tolerance.grad * f64::from(largest)), || {
            format!("{name} item {item} frame {frame} class {class}: gradient {got:e}, expected {expected:e}")
        });
    }
}

/// A batch and options that a seed names.
pub(crate) fn draw(seed: u64) -> (OwnedBatch, Options) {
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
        let wide: Vec<f64> = batch.values.iter().map(|x| f64::from(*x)).collect();
        batch.values = log_softmax(&wide, classes)
            .iter()
            .map(|x| *x as f32)
            .collect();
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
