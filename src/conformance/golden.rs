//! Losses and gradients that other people's software computed, from the files in `tests/data/golden`.
//!
//! Each file says in its `doc` with which versions and how it was made. Where a peer differs from this crate on purpose,
//! the expectation is ours, or `None`, and a table here says which peer answers what and why that is not followed.

#![allow(
    clippy::unwrap_used,
    reason = "the files are part of this crate, and every case of each is read by its tests"
)]

use crate::{Options, Status};
use serde_json::Value;

use super::batch::OwnedBatch;

pub mod conformance;
pub mod edge;
mod judge;
pub mod keras;
pub mod tensorflow;
pub mod torch;

/// A batch and what others say of it.
#[derive(Debug, Clone)]
pub struct Golden {
    /// `file:case`, and what was made of it.
    pub name: String,
    /// The batch.
    pub batch: OwnedBatch,
    /// What its source has for options.
    pub options: Options,
    /// Ours: no peer has one.
    pub status: Vec<Status>,
    /// What its sources say.
    pub expectations: Vec<Expectation>,
}

/// What one source says. `None` stands where our answer differs on purpose.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// `file:case`, with what follows a space being which part of the case.
    pub source: String,
    /// `[N]`
    pub loss: Vec<Option<f64>>,
    /// With respect to the values.
    pub grad: Grad,
    /// Where the source reduces.
    pub reduced: Option<f64>,
    /// How good the numbers are.
    pub accuracy: Accuracy,
}

/// A gradient, whole or in part, in the batch's layout.
#[derive(Debug, Clone)]
pub enum Grad {
    /// The source gives none.
    NotGiven,
    /// Every element.
    Full(Vec<Option<f64>>),
    /// Some, and sums over all.
    Sampled {
        /// Elements by their places.
        sample: Vec<(usize, f64)>,
        /// Σ|g|
        abs_sum: f64,
        /// Σ of the gradient times the numbers of [`lcg_units`] from 12345.
        checksum: Option<f64>,
    },
}

/// How good the source's own numbers are; comes on top of what the backend may err. Relative above 1.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy {
    /// Of losses.
    pub loss: f64,
    /// Of gradients.
    pub grad: f64,
}

impl Accuracy {
    /// The same for both.
    pub fn both(error: f64) -> Self {
        Self {
            loss: error,
            grad: error,
        }
    }

    /// Adds what rounding the inputs to f32 by up to `rounding` each may change: a frame moves the loss by at most twice
    /// that, and so it does the logarithm of any γ.
    pub fn of_rounded_input(self, rounding: f64, frames: usize) -> Self {
        let moved = 2.0 * rounding * frames as f64;
        Self {
            loss: self.loss + moved,
            grad: self.grad + moved,
        }
    }
}

/// The files by name.
pub const FILES: [(&str, &str); 5] = [
    (
        "ctc_torch_f64",
        include_str!("../../tests/data/golden/ctc_torch_f64.json"),
    ),
    (
        "ctc_tensorflow",
        include_str!("../../tests/data/golden/ctc_tensorflow.json"),
    ),
    (
        "keras_ctc_batch_cost",
        include_str!("../../tests/data/golden/keras_ctc_batch_cost.json"),
    ),
    (
        "keras_ops_ctc_loss",
        include_str!("../../tests/data/golden/keras_ops_ctc_loss.json"),
    ),
    (
        "conformance",
        include_str!("../../tests/data/golden/conformance.json"),
    ),
];

/// Cases that nothing here can run yet, each with what it waits for.
pub const LATER: [(&str, &str); 3] = [
    (
        "conformance:second_order/T4C3 y=[1,1]",
        "second derivatives are a later feature",
    ),
    (
        "conformance:keras3/ctc_decode greedy+beam",
        "decoding is a later feature",
    ),
    (
        "conformance:tf/ctc_unique_labels",
        "the list of unique labels is inside the kernels, not an output; its effect is in every case with repeats",
    ),
];

/// Every case of every file that can be run.
pub fn all() -> Vec<Golden> {
    let mut cases = torch::cases();
    cases.extend(keras::cases());
    cases.extend(conformance::cases());
    cases.extend(edge::cases());
    cases
}

/// A file of [`FILES`], parsed.
pub fn file(name: &str) -> Value {
    let (_, text) = FILES.into_iter().find(|(file, _)| *file == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// The entries of an array.
pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not an array: {value}"))
}

/// A text.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

/// A number; those that JSON has no words for are strings.
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

/// A natural number.
pub fn natural(value: &Value) -> usize {
    usize::try_from(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("not a natural number: {value}")),
    )
    .unwrap()
}

/// All numbers of a nested array, row-major.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(entries) => entries.iter().flat_map(numbers).collect(),
        other => vec![number(other)],
    }
}

/// A list of integers.
pub fn integers(value: &Value) -> Vec<i32> {
    let integer = |v: &Value| i32::try_from(v.as_i64().unwrap()).unwrap();
    list(value).iter().map(integer).collect()
}

/// A list of lists of integers.
pub fn integer_lists(value: &Value) -> Vec<Vec<i32>> {
    list(value).iter().map(integers).collect()
}

/// The numbers in [−1, 1) of the generator that the files' `doc` describes.
pub fn lcg_units(seed: u32) -> impl Iterator<Item = f64> {
    let next = |s: &u32| Some(s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(Some(seed), next).skip(1);
    states.map(|s| f64::from(s >> 8) / 16_777_216.0 * 2.0 - 1.0)
}

/// The logits of a case: one draw an element, times `scale`, in f32.
pub fn generate(rule: &Value, elements: usize) -> Vec<f32> {
    let seed = u32::try_from(natural(&rule["seed"])).unwrap();
    let scale = number(&rule["scale"]) as f32;
    lcg_units(seed)
        .take(elements)
        .map(|u| scale * u as f32)
        .collect()
}

/// The logarithm of the softmax of each row, in float64.
pub fn log_softmax(values: &[f64], classes: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = row.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        row.iter().map(|x| x - most - log_sum).collect::<Vec<f64>>()
    };
    values.chunks(classes).flat_map(row).collect()
}

/// A gradient as the generator packs it; NaN, which stands for an item without an alignment, is our 0.
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

/// Values as our input, and by how much the largest of them was rounded.
pub fn rounded(values: &[f64]) -> (Vec<f32>, f64) {
    let single: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let errors = values
        .iter()
        .zip(&single)
        .map(|(v, s)| (v - f64::from(*s)).abs());
    let worst = errors.filter(|e| e.is_finite()).fold(0.0, f64::max);
    (single, worst)
}

/// The frames that labels need: one each, and one more between equal neighbours.
pub fn frames_needed(labels: &[i32]) -> usize {
    labels.len() + labels.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// `Impossible` where the loss is infinite, else `Ok`.
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
