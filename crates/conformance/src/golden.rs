//! Losses and gradients that other libraries computed, from the files in `golden`.
//!
//! The `doc` field of each file describes how it was generated, and with which versions. Where this
//! crate differs from a source on purpose, the expectation is ours or `None`, and a table here has
//! the source's result and the reason for ours.

#![allow(
    clippy::unwrap_used,
    reason = "the files are part of this crate, and its tests read every case"
)]

use ctc_wgpu::{Options, Status};
use serde_json::Value;

use super::batch::OwnedBatch;

mod check;
pub mod conformance;
pub mod edge;
pub mod keras;
pub mod tensorflow;
pub mod torch;

/// A batch, and the results of other libraries.
#[derive(Debug, Clone)]
pub struct Golden {
    /// `file:case`, followed by the modification, if there is one.
    pub name: String,
    /// The batch.
    pub batch: OwnedBatch,
    /// The options that correspond to those of the source.
    pub options: Options,
    /// The statuses of this crate; no other library has them.
    pub status: Vec<Status>,
    /// The results of the sources.
    pub expectations: Vec<Expectation>,
}

/// The result of one source. Numbers from which we differ on purpose are `None`.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// `file:case`. If the case has several results, the name of this one follows after a space.
    pub source: String,
    /// The losses, `[N]`.
    pub loss: Vec<Option<f64>>,
    /// The gradient with respect to the values.
    pub grad: Grad,
    /// The reduced loss, if the source has one.
    pub reduced: Option<f64>,
    /// The accuracy of the source's numbers.
    pub accuracy: Accuracy,
}

/// A gradient or a part of it, in the batch's layout.
#[derive(Debug, Clone)]
pub enum Grad {
    /// The source has no gradient.
    NotGiven,
    /// Every element.
    Full(Vec<Option<f64>>),
    /// Some elements, and sums over all.
    Sampled {
        /// The index and the value of each sampled element.
        sample: Vec<(usize, f64)>,
        /// Σ|g|.
        abs_sum: f64,
        /// Σ of the gradient times the numbers of [`lcg_units`] from 12345.
        checksum: Option<f64>,
    },
}

/// The error of the source's own numbers, which is added to the tolerance; relative to numbers
/// above 1.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy {
    /// The error of losses.
    pub loss: f64,
    /// The error of gradients.
    pub grad: f64,
}

impl Accuracy {
    /// Returns the same error for losses and gradients.
    pub fn both(error: f64) -> Self {
        Self {
            loss: error,
            grad: error,
        }
    }

    /// Adds the error from rounding the inputs to f32, by up to `rounding` each. One frame changes
    /// the loss, and the logarithm of any γ, by at most twice that.
    pub fn of_rounded_input(self, rounding: f64, frames: usize) -> Self {
        let moved = 2.0 * rounding * frames as f64;
        Self {
            loss: self.loss + moved,
            grad: self.grad + moved,
        }
    }
}

/// The names and contents of the files.
pub const FILES: [(&str, &str); 5] = [
    (
        "ctc_torch_f64",
        include_str!("../golden/ctc_torch_f64.json"),
    ),
    (
        "ctc_tensorflow",
        include_str!("../golden/ctc_tensorflow.json"),
    ),
    (
        "keras_ctc_batch_cost",
        include_str!("../golden/keras_ctc_batch_cost.json"),
    ),
    (
        "keras_ops_ctc_loss",
        include_str!("../golden/keras_ops_ctc_loss.json"),
    ),
    ("conformance", include_str!("../golden/conformance.json")),
];

/// Cases that cannot run, each with the reason.
pub const NOT_RUN: [(&str, &str); 3] = [
    (
        "conformance:second_order/T4C3 y=[1,1]",
        "second derivatives are not implemented",
    ),
    (
        "conformance:keras3/ctc_decode greedy+beam",
        "decoders have golden files of their own",
    ),
    (
        "conformance:tf/ctc_unique_labels",
        "the list of unique labels is not an output; all cases with repeated labels test its effect",
    ),
];

/// Returns all cases of all files that can run.
pub fn all() -> Vec<Golden> {
    let mut cases = torch::cases();
    cases.extend(keras::cases());
    cases.extend(conformance::cases());
    cases.extend(edge::cases());
    cases
}

/// Parses a file of [`FILES`].
pub fn file(name: &str) -> Value {
    let (_, text) = FILES.into_iter().find(|(file, _)| *file == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// Returns the entries of an array.
pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not an array: {value}"))
}

/// Returns a string.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

/// Returns a number. NaN and infinities, which JSON lacks, are strings.
pub fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text
            .to_lowercase()
            .parse()
            .unwrap_or_else(|_| panic!("not a number: {text}")),
        other => other
            .as_f64()
            .unwrap_or_else(|| panic!("not a number: {other}")),
    }
}

/// Returns a natural number.
pub fn natural(value: &Value) -> usize {
    usize::try_from(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("not a natural number: {value}")),
    )
    .unwrap()
}

/// Returns all numbers of a nested array, row-major.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(entries) => entries.iter().flat_map(numbers).collect(),
        other => vec![number(other)],
    }
}

/// Returns a list of integers.
pub fn integers(value: &Value) -> Vec<i32> {
    let integer = |v: &Value| i32::try_from(v.as_i64().unwrap()).unwrap();
    list(value).iter().map(integer).collect()
}

/// Returns a list of lists of integers.
pub fn integer_lists(value: &Value) -> Vec<Vec<i32>> {
    list(value).iter().map(integers).collect()
}

/// Generates the numbers in [−1, 1) that the files' `doc` describes.
pub fn lcg_units(seed: u32) -> impl Iterator<Item = f64> {
    let next = |s: &u32| Some(s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(Some(seed), next).skip(1);
    states.map(|s| f64::from(s >> 8) / 16_777_216.0 * 2.0 - 1.0)
}

/// Generates the logits of a case: one random number per element, times `scale`, in f32.
pub fn generate(rule: &Value, elements: usize) -> Vec<f32> {
    let seed = u32::try_from(natural(&rule["seed"])).unwrap();
    let scale = number(&rule["scale"]) as f32;
    lcg_units(seed)
        .take(elements)
        .map(|u| scale * u as f32)
        .collect()
}

/// Returns the log-softmax of each row, in float64.
pub fn log_softmax(values: &[f64], classes: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        row.iter().map(|x| x - max - log_sum).collect::<Vec<f64>>()
    };
    values.chunks(classes).flat_map(row).collect()
}

/// Reads a gradient as the generator stores it. NaN, for an item without an alignment, becomes our
/// 0.
pub fn packed(grad: &Value) -> Grad {
    let ours = |value: f64| if value.is_nan() { 0.0 } else { value };
    if let Some(full) = grad.get("full") {
        return Grad::Full(numbers(full).into_iter().map(|g| Some(ours(g))).collect());
    }
    let sample = list(&grad["sample"])
        .iter()
        .map(|s| (natural(&s[0]), ours(number(&s[1]))));
    Grad::Sampled {
        sample: sample.collect(),
        abs_sum: number(&grad["abs_sum"]),
        checksum: grad.get("checksum").map(number),
    }
}

/// Rounds values to f32. Returns them, and the largest rounding error.
pub fn rounded(values: &[f64]) -> (Vec<f32>, f64) {
    let single: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let errors = values
        .iter()
        .zip(&single)
        .map(|(v, s)| (v - f64::from(*s)).abs());
    let worst = errors.filter(|e| e.is_finite()).fold(0.0, f64::max);
    (single, worst)
}

/// Returns the number of frames that labels need: one per label, and one between two equal labels.
pub fn frames_needed(labels: &[i32]) -> usize {
    labels.len() + labels.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Returns `Impossible` for each infinite loss, and `Ok` for the others.
pub fn status_of(loss: &[f64]) -> Vec<Status> {
    let status = |loss: &f64| {
        if *loss == f64::INFINITY {
            Status::Impossible
        } else {
            Status::Ok
        }
    };
    loss.iter().map(status).collect()
}
