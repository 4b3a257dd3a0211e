//! The reference: the textbook recursion in float64 logarithms. It is slow and simple on purpose.
//!
//! [`item`] is the recursion for one item of log-probabilities. [`loss_and_grad`] computes a batch
//! with all options, like [`Ctc::loss_and_grad`](crate::Ctc::loss_and_grad). Both follow A. Graves,
//! S. Fernández, F. Gomez, J. Schmidhuber: *Connectionist temporal classification*, ICML 2006,
//! section 4. The reference does not use the scaled arithmetic of the backends, so an error in that
//! arithmetic cannot affect both.
//!
//! Time and memory of an item are proportional to frames × (labels + classes). One thread takes
//! about 50 ns per state and frame.

use crate::batch::{Batch, CheckedBatch};
use crate::error::{Error, InputError, reject_impossible};
use crate::options::{Impossible, Input, Options, Reduction, RepeatedLabels, Status};

mod lattice;
pub use lattice::{Item, item};

/// The result of the reference, in float64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReferenceOutput {
    /// The loss of each item in nats, `[N]`, not weighted. A loss that rounding makes negative is
    /// not clamped to 0.
    pub loss: Vec<f64>,
    /// The gradient with respect to the input, in the input's shape and layout: of the reduced
    /// loss, or of Σ weight·loss with [`Reduction::None`].
    pub grad: Vec<f64>,
    /// The occupancy γ of each class at each frame, in the input's shape and layout, not weighted:
    /// 0 in frames past an item's length and for an item without a valid alignment, NaN if the loss
    /// is NaN.
    pub occupancy: Vec<f64>,
    /// The status of each item, `[N]`.
    pub status: Vec<Status>,
    /// The reduced loss; `None` with [`Reduction::None`].
    pub reduced: Option<f64>,
}

/// Computes the loss of each item and the gradient with the textbook recursion.
///
/// ```
/// use ctc_wgpu::{Batch, Options, reference};
/// // One item of three frames over four equally probable classes, labelled [1, 2]: five of the 64
/// // paths collapse to these labels.
/// let logits = [0.0; 12];
/// let batch = Batch::new([1, 3, 4], &logits).labels(&[1, 2], &[2]);
/// let output = reference::loss_and_grad(&batch, &Options::default())?;
/// assert!((output.loss[0] - (64.0_f64 / 5.0).ln()).abs() < 1e-12);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for an invalid batch, and [`Error::Impossible`] if an item has no valid
/// alignment and the options require an error for it.
pub fn loss_and_grad(batch: &Batch<'_>, options: &Options) -> Result<ReferenceOutput, Error> {
    let checked = CheckedBatch::new(batch, options)?;
    compute(&checked, checked.values, options)
}

/// Computes [`loss_and_grad`] with float64 `values` in place of the batch's input, in the same
/// shape and layout, for example for numerical derivatives, which need more digits than f32 has.
///
/// ```
/// use ctc_wgpu::{Batch, Options, reference};
/// let (logits, step) = ([0.3_f64, -0.2, 0.9, 0.1], 1e-6);
/// let loss = |logits: &[f64]| {
///     let batch = Batch::new([1, 2, 2], &[0.0; 4]).labels(&[1], &[1]);
///     reference::loss_and_grad_f64(&batch, logits, &Options::default())
/// };
/// let mut moved = logits;
/// moved[1] += step;
/// let slope = (loss(&moved)?.loss[0] - loss(&logits)?.loss[0]) / step;
/// assert!((slope - loss(&logits)?.grad[1]).abs() < 1e-6);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// As [`loss_and_grad`], and [`InputError::Length`] if `values` does not have the length of the
/// batch's values.
pub fn loss_and_grad_f64(
    batch: &Batch<'_>,
    values: &[f64],
    options: &Options,
) -> Result<ReferenceOutput, Error> {
    let checked = CheckedBatch::new(batch, options)?;
    if values.len() != checked.values.len() {
        return Err(Error::Input(InputError::Length {
            array: "values",
            got: values.len(),
            expected: checked.values.len(),
            rule: "as many as in the batch",
        }));
    }
    compute(&checked, values, options)
}

/// Computes a batch with `values` of any precision, in the layout of the batch.
fn compute<V: Copy + Into<f64>>(
    checked: &CheckedBatch<'_>,
    values: &[V],
    options: &Options,
) -> Result<ReferenceOutput, Error> {
    let shape = checked.shape;
    let labels: Vec<Vec<usize>> = (0..shape.items)
        .map(|item| classes_of(checked.item_labels(item), options.repeated_labels))
        .collect();
    let scale = scales(checked, &labels, options.reduction);
    let mut output = ReferenceOutput {
        loss: Vec::with_capacity(shape.items),
        grad: vec![0.0; shape.elements()],
        occupancy: vec![0.0; shape.elements()],
        status: Vec::with_capacity(shape.items),
        reduced: None,
    };
    for (n, labels) in labels.iter().enumerate() {
        let frames = checked.logit_lengths[n] as usize;
        let starts: Vec<usize> = (0..frames).map(|t| shape.row(n, t)).collect();
        let rows = starts
            .iter()
            .map(|&start| Row::new(&values[start..start + shape.classes], options.input));
        let rows: Vec<Row> = rows.collect();
        let (loss, status, occupancy) = item_result(&rows, labels, checked, options);
        for (t, (row, start)) in rows.iter().zip(starts).enumerate() {
            for class in 0..shape.classes {
                let gamma = occupancy[t * shape.classes + class];
                output.occupancy[start + class] = gamma;
                // The gradient of an impossible item is 0. So is that of an item with scale 0, even
                // if its occupancies are NaN.
                if status != Status::Impossible && scale[n] != 0.0 {
                    output.grad[start + class] =
                        scale[n] * row.derivative(class, gamma, options.input);
                }
            }
        }
        output.loss.push(loss);
        output.status.push(status);
    }
    if options.impossible == Impossible::Error {
        let frames = |n: usize| checked.logit_lengths[n] as usize;
        let labels = |n: usize| checked.label_lengths[n] as usize;
        reject_impossible(&output.status, labels, frames)?;
    }
    if options.reduction != Reduction::None {
        let counted = scale.iter().zip(&output.loss).filter(|(s, _)| **s != 0.0);
        // `sum()` would start at −0.0.
        output.reduced = Some(counted.fold(0.0, |sum, (scale, loss)| sum + scale * loss));
    }
    Ok(output)
}

/// A probability of e^(−MAX_NATS) or less counts as 0: 2^30 nats.
const MAX_NATS: f64 = 1_073_741_824.0;

/// Returns the loss, status and occupancy of one item, with the options for special cases applied.
fn item_result(
    rows: &[Row],
    labels: &[usize],
    checked: &CheckedBatch<'_>,
    options: &Options,
) -> (f64, Status, Vec<f64>) {
    let classes = checked.shape.classes;
    if !rows.iter().all(|row| row.is_finite(options.input)) {
        let nothing = vec![f64::NAN; rows.len() * classes];
        return (f64::NAN, Status::NotFinite, nothing);
    }
    let log_probs: Vec<f64> = rows.iter().flat_map(|row| row.log_probs.clone()).collect();
    let found = item(
        &log_probs,
        classes,
        labels,
        checked.blank,
        options.repeated_outputs,
    );
    if found.loss >= MAX_NATS {
        let loss = match options.impossible {
            Impossible::Zero => 0.0,
            Impossible::Infinity | Impossible::Error => f64::INFINITY,
        };
        return (loss, Status::Impossible, vec![0.0; found.occupancy.len()]);
    }
    (found.loss, Status::Ok, found.occupancy)
}

/// Converts the labels, which have been checked, to classes, and collapses them if required.
fn classes_of(labels: &[i32], repeated: RepeatedLabels) -> Vec<usize> {
    let classes = labels
        .iter()
        .map(|label| usize::try_from(*label).unwrap_or(usize::MAX));
    let mut classes: Vec<usize> = classes.collect();
    if repeated == RepeatedLabels::Collapse {
        classes.dedup();
    }
    classes
}

/// Returns the factor of each item's loss in the reduced loss: its weight divided by the
/// reduction's divisor, or 0 if that divisor is 0. Label lengths are those before repeated labels
/// are collapsed.
fn scales(checked: &CheckedBatch<'_>, labels: &[Vec<usize>], reduction: Reduction) -> Vec<f64> {
    let items = labels.len() as f64;
    let weights: Vec<f64> = (0..labels.len())
        .map(|n| checked.weight(n).into())
        .collect();
    let lengths = &checked.label_lengths;
    let total_labels: u64 = lengths.iter().copied().map(u64::from).sum();
    let total_weight: f64 = weights.iter().sum();
    let total_magnitude: f64 = weights.iter().map(|w| w.abs()).sum();
    let divisor = |n: usize| match reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::MeanBatch => items,
        Reduction::MeanLabel => items * f64::from(lengths[n].max(1)),
        Reduction::MeanVolume => total_labels.max(1) as f64,
        // Weights whose sum is at most a thousandth of the sum of their magnitudes have no mean.
        Reduction::MeanWeighted if total_weight.abs() <= 1e-3 * total_magnitude => 0.0,
        Reduction::MeanWeighted => total_weight,
    };
    let scale = |(n, weight): (usize, &f64)| match divisor(n) {
        0.0 => 0.0,
        divisor => weight / divisor,
    };
    weights.iter().enumerate().map(scale).collect()
}

/// Returns `p + ε`, or 0 if that is below the smallest normal f32, as [`Input::Probs`] defines.
fn add_epsilon(p: f64, epsilon: f32) -> f64 {
    let sum = p + f64::from(epsilon);
    // The backends have the threshold as an f32.
    let threshold = f64::from(1.2e-38_f32);
    if sum.abs() < threshold { 0.0 } else { sum }
}

/// One frame of the input, as logarithms.
struct Row {
    /// The input of each class as a logarithm: logits, log-probabilities, or `ln(p + ε)`.
    scores: Vec<f64>,
    /// The scores, normalised if the input is logits or probabilities.
    log_probs: Vec<f64>,
    /// ln Σ exp(scores).
    log_sum: f64,
}

impl Row {
    fn new<V: Copy + Into<f64>>(values: &[V], input: Input) -> Self {
        let score = |value: &V| match input {
            Input::Logits | Input::LogProbs | Input::LogProbsExact => (*value).into(),
            // The logarithm of a negative probability is NaN, as required.
            Input::Probs { epsilon } => add_epsilon((*value).into(), epsilon).ln(),
        };
        let scores: Vec<f64> = values.iter().map(score).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_rest = scores.iter().map(|s| (s - max).exp()).sum::<f64>().ln();
        let log_probs = match input {
            Input::LogProbs | Input::LogProbsExact => {
                let with_threshold = |s: &f64| {
                    if *s > -MAX_NATS {
                        *s
                    } else {
                        f64::NEG_INFINITY
                    }
                };
                scores.iter().map(with_threshold).collect()
            }
            // Two subtractions, because adding the logarithm to a score of 1e30 would lose it in
            // rounding.
            Input::Logits | Input::Probs { .. } => {
                scores.iter().map(|s| (s - max) - log_rest).collect()
            }
        };
        Self {
            scores,
            log_probs,
            log_sum: max + log_rest,
        }
    }

    /// Returns true if no score is NaN or above the largest valid score, and at least one class has
    /// a probability above 0.
    fn is_finite(&self, input: Input) -> bool {
        let (max, impossible) = match input {
            Input::LogProbs | Input::LogProbsExact => (88.0, -MAX_NATS),
            Input::Logits | Input::Probs { .. } => (f64::MAX, f64::NEG_INFINITY),
        };
        let scores = &self.scores;
        scores.iter().all(|s| *s <= max) && scores.iter().any(|s| *s > impossible)
    }

    /// Returns the derivative of the loss with respect to the input at `class`, whose occupancy is
    /// `gamma`: eq. 15 and 16 of the paper, extended to each kind of input.
    fn derivative(&self, class: usize, gamma: f64, input: Input) -> f64 {
        match input {
            Input::Logits | Input::LogProbs => self.log_probs[class].exp() - gamma,
            Input::LogProbsExact => -gamma,
            Input::Probs { .. } => {
                let through_class = if gamma == 0.0 {
                    0.0
                } else {
                    gamma / self.scores[class].exp()
                };
                // softmax(ln(p + ε)) / (p + ε) is 1 / Σ(p + ε), which is defined for p + ε = 0 too.
                (-self.log_sum).exp() - through_class
            }
        }
    }
}
