//! Compares the reference's gradient with differences of its reduced loss, which do not depend on
//! the gradient's formula.

use ctc_wgpu::{BlankInLabels, Input, Options, Reduction, RepeatedOutputs, reference};

use crate::support::batch::{OwnedBatch, padded};
use crate::support::check::{Failures, close};
use crate::support::golden::log_softmax;
use crate::support::random::BatchSpec;

const REDUCTIONS: [Reduction; 6] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::MeanBatch,
    Reduction::MeanLabel,
    Reduction::MeanVolume,
    Reduction::MeanWeighted,
];

/// Returns the number whose gradient the library computes: the reduced loss, or Σ w·loss without a
/// reduction.
fn differentiated(batch: &OwnedBatch, options: &Options) -> f64 {
    let output = reference::loss_and_grad(&batch.batch(), options).unwrap();
    let weight = |item: usize| batch.weights.as_ref().map_or(1.0, |w| f64::from(w[item]));
    let sum = || {
        output
            .loss
            .iter()
            .enumerate()
            .map(|(item, loss)| weight(item) * loss)
            .sum()
    };
    output.reduced.unwrap_or_else(sum)
}

/// Returns central differences. The step is exact in f32 if the values are multiples of 2^-10 below
/// 8.
fn differences(batch: &OwnedBatch, options: &Options, step: f32) -> Vec<f64> {
    let at = |element: usize, step: f32| {
        let mut batch = batch.clone();
        batch.values[element] += step;
        differentiated(&batch, options)
    };
    let slope = |element| (at(element, step) - at(element, -step)) / (2.0 * f64::from(step));
    (0..batch.values.len()).map(slope).collect()
}

/// Returns three items, one with repeated labels and one without labels. The logits are multiples
/// of 2^-10.
fn batch(seed: u64) -> OwnedBatch {
    let mut spec = BatchSpec::new([3, 6, 4], 0);
    spec.weights = true;
    spec.ragged = false;
    let mut batch = spec.batch(seed);
    batch.labels = padded(&[vec![1, 1], vec![], vec![2, 3, 2]]);
    batch
        .values
        .iter_mut()
        .for_each(|x| *x = (*x * 1024.0).round() / 1024.0);
    batch.logit_lengths(&[6, 4, 5])
}

fn compare(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    let mut failures = Failures::default();
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        failures.check(close(*got, *expected, tolerance), || {
            format!("{what} element {at}: gradient {got}, expected {expected} by differences")
        });
    }
    failures.finish(what).unwrap();
}

fn grad(batch: &OwnedBatch, options: &Options) -> Vec<f64> {
    reference::loss_and_grad(&batch.batch(), options)
        .unwrap()
        .grad
}

// The error of a central difference is step²/6 times the third derivative, which is of the order of
// 1 for logarithms.
const STEP: f32 = 1.0 / 4096.0;
const ERROR: f64 = 1e-7;

#[test]
fn the_gradient_of_every_reduction_is_the_slope_of_the_reduced_loss() {
    for reduction in REDUCTIONS {
        let options = Options::default().reduction(reduction);
        let batch = batch(1);
        let expected = differences(&batch, &options, STEP);
        assert!(expected.iter().any(|g| g.abs() > 1e-3), "{reduction:?}");
        compare(
            &format!("{reduction:?}"),
            &grad(&batch, &options),
            &expected,
            ERROR,
        );
    }
}

#[test]
fn the_true_derivative_of_log_probabilities_is_their_slope() {
    for reduction in REDUCTIONS {
        let options = Options::default()
            .input(Input::LogProbsExact)
            .reduction(reduction);
        // Below 0, as log-probabilities are.
        let mut batch = batch(2);
        batch.values.iter_mut().for_each(|x| *x -= 4.0);
        compare(
            "exact",
            &grad(&batch, &options),
            &differences(&batch, &options, STEP),
            ERROR,
        );
    }
}

#[test]
fn the_gradient_of_log_probabilities_is_the_slope_through_the_log_softmax_before_them() {
    let logits = batch(3);
    let wide: Vec<f64> = logits.values.iter().map(|x| f64::from(*x)).collect();
    let log_probs = log_softmax(&wide, 4).iter().map(|x| *x as f32).collect();
    let given = OwnedBatch {
        values: log_probs,
        ..logits.clone()
    };
    let options = Options::default().input(Input::LogProbs);
    // f32 log-probabilities are off by 1e-7 each.
    let expected = differences(&logits, &Options::default(), STEP);
    compare(
        "log-probabilities",
        &grad(&given, &options),
        &expected,
        2e-6,
    );
}

#[test]
fn the_gradient_of_probabilities_is_their_slope() {
    for (epsilon, reduction) in [0.0, 1.0 / 128.0]
        .into_iter()
        .zip([Reduction::None, Reduction::MeanLabel])
    {
        let options = Options::default()
            .input(Input::Probs { epsilon })
            .reduction(reduction);
        // Within 1/8 to 1, where the third derivative, 2/p³, is at most 1024.
        let mut batch = batch(4);
        batch
            .values
            .iter_mut()
            .for_each(|x| *x = (x.abs() * 128.0).round().clamp(128.0, 1024.0) / 1024.0);
        let expected = differences(&batch, &options, STEP / 16.0);
        compare(
            &format!("epsilon {epsilon}"),
            &grad(&batch, &options),
            &expected,
            1e-6,
        );
    }
}

#[test]
fn the_gradient_of_a_blank_among_the_labels_is_the_slope() {
    for repeated_outputs in [RepeatedOutputs::Merge, RepeatedOutputs::Distinct] {
        let blank_in_labels = BlankInLabels::Allow;
        let options = Options::default()
            .blank_in_labels(blank_in_labels)
            .repeated_outputs(repeated_outputs);
        let mut batch = batch(5);
        batch.labels = padded(&[vec![1, 0, 2], vec![0], vec![0, 0]]);
        compare(
            "allow",
            &grad(&batch, &options),
            &differences(&batch, &options, STEP),
            ERROR,
        );
    }
}
