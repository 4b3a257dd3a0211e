//! The textbook recursion in float64 logarithms: slow on purpose, independent of all the rest, the judge.
//!
//! [`item`] is the recursion itself, for one item of log-probabilities; [`loss_and_grad`] answers for a whole batch with
//! all its options, as [`Ctc::loss_and_grad`](crate::Ctc::loss_and_grad) does. Both follow A. Graves, S. Fernández,
//! F. Gomez, J. Schmidhuber: *Connectionist temporal classification*, ICML 2006, section 4. Nothing of the scaled
//! arithmetic is in here, so that an error there cannot hide.
//!
//! Time and memory grow as frames × labels, in one thread, at about 50 ns a state of a frame.

use crate::batch::{Batch, CheckedBatch};
use crate::error::{Error, InputError, refuse_impossible};
use crate::options::{Impossible, Input, Options, Reduction, RepeatedLabels, Status};

mod lattice;
pub use lattice::{Item, item};

/// What the reference answers, in float64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReferenceOutput {
    /// The loss of each item in nats, `[N]`, not weighted. One below 0 by rounding is not made 0.
    pub loss: Vec<f64>,
    /// The gradient of the reduced loss with respect to the input, in the input's shape and layout.
    pub grad: Vec<f64>,
    /// The occupancy γ of each class at each frame, in the input's shape and layout: not weighted, 0 in frames past an
    /// item's length and for an item without an alignment, NaN where the loss is NaN.
    pub occupancy: Vec<f64>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the reduction asks for.
    pub reduced: Option<f64>,
}

/// Losses and gradient by the textbook.
///
/// ```
/// use ctc_wgpu::{Batch, Options, reference};
/// // One item of three frames over four equally likely classes, labelled [1, 2]: five of the 64 paths read so.
/// let logits = [0.0; 12];
/// let batch = Batch::new([1, 3, 4], &logits).labels(&[1, 2], &[2]);
/// let output = reference::loss_and_grad(&batch, &Options::default())?;
/// assert!((output.loss[0] - (64.0_f64 / 5.0).ln()).abs() < 1e-12);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for a batch that breaks a rule, and [`Error::Impossible`] where an item has no alignment and the
/// options ask for an error then.
pub fn loss_and_grad(batch: &Batch<'_>, options: &Options) -> Result<ReferenceOutput, Error> {
    let checked = CheckedBatch::new(batch, options)?;
    answer(&checked, checked.values, options)
}

/// [`loss_and_grad`] of `values` in float64, for which those of the batch only stand: numerical derivatives need more digits
/// than f32 has.
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
/// As [`loss_and_grad`], and [`InputError::Length`] if there are not as many values as in the batch.
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
    answer(&checked, values, options)
}

/// For the values in the checked's order, whatever their precision.
fn answer<V: Copy + Into<f64>>(
    checked: &CheckedBatch<'_>,
    values: &[V],
    options: &Options,
) -> Result<ReferenceOutput, Error> {
    let shape = checked.shape;
    let labels: Vec<Vec<usize>> = (0..shape.items)
        .map(|item| read_labels(checked.item_labels(item), options.repeated_labels))
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
        let (loss, status, occupancy) = judge(&rows, labels, checked, options);
        for (t, (row, start)) in rows.iter().zip(starts).enumerate() {
            for class in 0..shape.classes {
                let gamma = occupancy[t * shape.classes + class];
                output.occupancy[start + class] = gamma;
                // An impossible item, and one that adds nothing to the sum, has gradient 0, and not 0 · NaN.
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
        refuse_impossible(&output.status, labels, frames)?;
    }
    if options.reduction != Reduction::None {
        let counted = scale.iter().zip(&output.loss).filter(|(s, _)| **s != 0.0);
        // Adding to 0.0, and not `sum()`, whose start is −0.0.
        output.reduced = Some(counted.fold(0.0, |sum, (scale, loss)| sum + scale * loss));
    }
    Ok(output)
}

/// A probability of e^−LEAST or less counts as 0: 2^28 nats.
const LEAST: f64 = 268_435_456.0;

/// Loss, status and occupancy of one item, after the policies.
fn judge(
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
    if found.loss >= LEAST {
        let loss = match options.impossible {
            Impossible::Zero => 0.0,
            Impossible::Infinity | Impossible::Error => f64::INFINITY,
        };
        return (loss, Status::Impossible, vec![0.0; found.occupancy.len()]);
    }
    (found.loss, Status::Ok, found.occupancy)
}

/// The labels as classes. The check has seen that each is one.
fn read_labels(labels: &[i32], repeated: RepeatedLabels) -> Vec<usize> {
    let classes = labels
        .iter()
        .map(|label| usize::try_from(*label).unwrap_or(usize::MAX));
    let mut classes: Vec<usize> = classes.collect();
    if repeated == RepeatedLabels::Collapse {
        classes.dedup();
    }
    classes
}

/// What each item's loss is multiplied with in the reduced number: its weight over the reduction's divisor, and 0 where
/// that divisor is 0. Label lengths are those given, before equal neighbours became one.
fn scales(checked: &CheckedBatch<'_>, labels: &[Vec<usize>], reduction: Reduction) -> Vec<f64> {
    let items = labels.len() as f64;
    let weights: Vec<f64> = (0..labels.len())
        .map(|n| checked.weight(n).into())
        .collect();
    let lengths = &checked.label_lengths;
    let total_labels: u64 = lengths.iter().copied().map(u64::from).sum();
    let total_weight: f64 = weights.iter().sum();
    let total_size: f64 = weights.iter().map(|w| w.abs()).sum();
    let divisor = |n: usize| match reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::MeanBatch => items,
        Reduction::MeanLabel => items * f64::from(lengths[n].max(1)),
        Reduction::MeanVolume => total_labels.max(1) as f64,
        // Weights that cancel to less than a thousandth of their sizes have no mean.
        Reduction::MeanWeighted if total_weight.abs() <= 1e-3 * total_size => 0.0,
        Reduction::MeanWeighted => total_weight,
    };
    let scale = |(n, weight): (usize, &f64)| match divisor(n) {
        0.0 => 0.0,
        divisor => weight / divisor,
    };
    weights.iter().enumerate().map(scale).collect()
}

/// `p + ε`, by the rule of [`Input::Probs`]: what is below the smallest normal number of f32 counts as 0.
fn biased(p: f64, epsilon: f32) -> f64 {
    let sum = p + f64::from(epsilon);
    // The other backends have the border as an f32.
    let border = f64::from(1.2e-38_f32);
    if sum.abs() < border { 0.0 } else { sum }
}

/// A frame of the input, as logarithms.
struct Row {
    /// What the input says of each class, as a logarithm: logits, log-probabilities, or `ln(p + ε)`.
    scores: Vec<f64>,
    /// The same, normalised where the convention asks for it.
    log_probs: Vec<f64>,
    /// ln Σ exp(scores)
    log_sum: f64,
}

impl Row {
    fn new<V: Copy + Into<f64>>(values: &[V], input: Input) -> Self {
        let score = |value: &V| match input {
            Input::Logits | Input::LogProbs | Input::LogProbsExact => (*value).into(),
            // The logarithm of a negative number is NaN, which is what a negative probability deserves.
            Input::Probs { epsilon } => biased((*value).into(), epsilon).ln(),
        };
        let scores: Vec<f64> = values.iter().map(score).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_rest = scores.iter().map(|s| (s - most).exp()).sum::<f64>().ln();
        let log_probs = match input {
            Input::LogProbs | Input::LogProbsExact => {
                let counts = |s: &f64| if *s > -LEAST { *s } else { f64::NEG_INFINITY };
                scores.iter().map(counts).collect()
            }
            // Two subtractions: beside a score of 1e30 the logarithm of the sum would be lost in rounding.
            Input::Logits | Input::Probs { .. } => {
                scores.iter().map(|s| (s - most) - log_rest).collect()
            }
        };
        Self {
            scores,
            log_probs,
            log_sum: most + log_rest,
        }
    }

    /// Whether no class is NaN or above what has a probability in f32, and at least one is possible.
    fn is_finite(&self, input: Input) -> bool {
        let (most, impossible) = match input {
            Input::LogProbs | Input::LogProbsExact => (88.0, -LEAST),
            Input::Logits | Input::Probs { .. } => (f64::MAX, f64::NEG_INFINITY),
        };
        let scores = &self.scores;
        scores.iter().all(|s| *s <= most) && scores.iter().any(|s| *s > impossible)
    }

    /// The derivative of the loss with respect to the input at `class`, of which γ is the occupancy: eq. 15 and 16 of the
    /// paper, carried on to what the input is.
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
                // softmax(ln(p + ε)) / (p + ε) is 1 / Σ(p + ε), which is right where p + ε is 0 too.
                (-self.log_sum).exp() - through_class
            }
        }
    }
}
