//! Alignments and greedy readings of any backend against those that the CPU finds in float64.

pub mod guarded_buffers;

use super::random_case::RandomCase;
use crate::decode::{self, Alignment, GreedyHypothesis};
use crate::{Ctc, Error, Input, Status};

/// Holds the alignment of a batch, and what is read from it.
///
/// # Errors
/// What is wrong, with the batch's name.
pub fn hold(ctc: &Ctc, drawn: &RandomCase) -> Result<(), String> {
    alignment(ctc, drawn)?;
    reading(ctc, drawn)
}

/// The alignment alone.
///
/// # Errors
/// As [`hold`].
pub fn alignment(ctc: &Ctc, drawn: &RandomCase) -> Result<(), String> {
    let RandomCase { name, options, .. } = drawn;
    let batch = drawn.batch.batch();
    let got = ctc.align(&batch, options);
    let expected = decode::align(&batch, options);
    each(name, got, expected, |n, got, expected| {
        // Logarithms of probabilities are f32 on a device: of two paths that agree in as many digits either may be found.
        if let Input::Probs { epsilon } = options.input
            && got.states != expected.states
        {
            equal("status", got.status, expected.status)?;
            equal("length", got.path.len(), expected.path.len())?;
            let log_prob = log_prob_of(drawn, n, &got.path, epsilon);
            close("log_prob of the path", log_prob, expected.log_prob)?;
            return close("log_prob", got.log_prob, expected.log_prob);
        }
        same_alignment(got, expected)
    })
}

/// The reading alone.
///
/// # Errors
/// As [`hold`].
pub fn reading(ctc: &Ctc, drawn: &RandomCase) -> Result<(), String> {
    let RandomCase { name, options, .. } = drawn;
    let batch = drawn.batch.batch();
    let got = ctc.greedy(&batch, options);
    let expected = decode::greedy(&batch, options);
    each(name, got, expected, |_, got, expected| {
        same_reading(got, expected)
    })
}

/// Every item of two answers.
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

/// ln of a path's probability.
fn log_prob_of(drawn: &RandomCase, n: usize, path: &[u32], epsilon: f32) -> f64 {
    let frames = path.iter().enumerate().map(|(t, class)| {
        let start = drawn.batch.row(n, t);
        let row = &drawn.batch.values[start..start + drawn.batch.classes()];
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

/// To so much of the expected number, or of 1.
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

fn same_reading(got: &GreedyHypothesis, expected: &GreedyHypothesis) -> Result<(), String> {
    equal("status", got.status, expected.status)?;
    if got.status == Status::Ok {
        equal("labels", &got.labels, &expected.labels)?;
        equal("frames", &got.frames, &expected.frames)?;
    }
    close("log_prob", got.log_prob, expected.log_prob)
}
