//! Compares alignments and greedy hypotheses of any backend with those that the CPU computes in
//! float64.

pub mod guarded_buffers;

use super::random_case::RandomCase;
use ctc_wgpu::decode::{self, Alignment, GreedyHypothesis};
use ctc_wgpu::{Ctc, Error, Input, Status};

/// Checks the alignments and the greedy hypotheses of a batch.
///
/// # Errors
/// The first difference, with the batch's name.
pub fn check(ctc: &Ctc, case: &RandomCase) -> Result<(), String> {
    check_alignment(ctc, case)?;
    check_greedy(ctc, case)
}

/// Checks the alignments of a batch.
///
/// # Errors
/// As [`check`].
pub fn check_alignment(ctc: &Ctc, case: &RandomCase) -> Result<(), String> {
    let RandomCase { name, options, .. } = case;
    let batch = case.batch.batch();
    let got = ctc.align(&batch, options);
    let expected = decode::align(&batch, options);
    each(name, got, expected, |n, got, expected| {
        // On a GPU the logarithms of probabilities are f32. If two paths agree in all digits of
        // f32, either may be returned.
        if let Input::Probs { epsilon } = options.input
            && got.states != expected.states
        {
            equal("status", got.status, expected.status)?;
            equal("length", got.path.len(), expected.path.len())?;
            let log_prob = log_prob_of(case, n, &got.path, epsilon);
            close("log_prob of the path", log_prob, expected.log_prob)?;
            return close("log_prob", got.log_prob, expected.log_prob);
        }
        same_alignment(got, expected)
    })
}

/// Checks the greedy hypotheses of a batch.
///
/// # Errors
/// As [`check`].
pub fn check_greedy(ctc: &Ctc, case: &RandomCase) -> Result<(), String> {
    let RandomCase { name, options, .. } = case;
    let batch = case.batch.batch();
    let got = ctc.greedy(&batch, options);
    let expected = decode::greedy(&batch, options);
    each(name, got, expected, |_, got, expected| {
        same_hypothesis(got, expected)
    })
}

/// Compares two results, item by item.
fn each<T>(
    name: &str,
    got: Result<Vec<T>, Error>,
    expected: Result<Vec<T>, Error>,
    same: impl Fn(usize, &T, &T) -> Result<(), String>,
) -> Result<(), String> {
    let words = |error: Error| format!("{name}: {error}");
    let (got, expected) = (got.map_err(words)?, expected.map_err(words)?);
    equal("number of items", got.len(), expected.len())?;
    let mut items = got.iter().zip(&expected).enumerate();
    items.try_for_each(|(n, (a, b))| {
        same(n, a, b).map_err(|wrong| format!("{name}: item {n}: {wrong}"))
    })
}

/// Returns ln of a path's probability.
fn log_prob_of(case: &RandomCase, n: usize, path: &[u32], epsilon: f32) -> f64 {
    let frames = path.iter().enumerate().map(|(t, class)| {
        let start = case.batch.row(n, t);
        let row = &case.batch.values[start..start + case.batch.classes()];
        let biased = |p: &f32| f64::from(*p) + f64::from(epsilon);
        let sum: f64 = row.iter().map(biased).sum();
        (biased(&row[*class as usize]) / sum).ln()
    });
    frames.sum()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what} {got:?}, not {expected:?}"))
}

/// Requires the two numbers to differ by at most 1e-6, relative to numbers above 1.
fn close(what: &str, got: f64, expected: f64) -> Result<(), String> {
    let same = got == expected || got.is_nan() && expected.is_nan();
    if same || (got - expected).abs() <= 1e-6 * expected.abs().max(1.0) {
        return Ok(());
    }
    Err(format!("{what} {got}, not {expected}"))
}

fn same_alignment(got: &Alignment, expected: &Alignment) -> Result<(), String> {
    equal("status", got.status, expected.status)?;
    close("log_prob", got.log_prob, expected.log_prob)?;
    equal("states", &got.states, &expected.states)?;
    equal("path", &got.path, &expected.path)?;
    equal("number of labels", got.spans.len(), expected.spans.len())?;
    for (i, (got, expected)) in got.spans.iter().zip(&expected.spans).enumerate() {
        equal(&format!("label {i}:"), got.label, expected.label)?;
        equal(&format!("label {i}: frames"), &got.frames, &expected.frames)?;
        let what = format!("label {i}: probability");
        close(&what, got.probability, expected.probability)?;
    }
    equal(
        "number of log-probs",
        got.log_probs.len(),
        expected.log_probs.len(),
    )?;
    let mut pairs = got.log_probs.iter().zip(&expected.log_probs).enumerate();
    pairs.try_for_each(|(t, (got, expected))| close(&format!("frame {t}:"), *got, *expected))
}

fn same_hypothesis(got: &GreedyHypothesis, expected: &GreedyHypothesis) -> Result<(), String> {
    equal("status", got.status, expected.status)?;
    if got.status == Status::Ok {
        equal("labels", &got.labels, &expected.labels)?;
        equal("frames", &got.frames, &expected.frames)?;
    }
    close("log_prob", got.log_prob, expected.log_prob)
}
