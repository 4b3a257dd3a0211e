//! The sums over the batch that the reductions divide by; must match `shaders/batch_totals.wgsl`.

use crate::batch::CheckedBatch;
use crate::options::Reduction;

/// The sums over the batch, and the reduction that uses them.
#[derive(Debug)]
pub(super) struct BatchTotals {
    reduction: Reduction,
    items: f32,
    labels: f32,
    /// The sum of the weights, or 0 if they cancel.
    weights: f32,
}

/// If the magnitude of the sum of the weights is at most this fraction of the sum of their
/// magnitudes, they cancel: the weighted mean is undefined, because the rounding of the losses
/// would determine its value.
const MIN_RELATIVE_SUM: f64 = 1e-3;

/// Returns the sum of the weights, or 0 if they cancel.
#[allow(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is intended"
)]
fn sum_of_weights(weights: impl Iterator<Item = f32>) -> f32 {
    let (sum, magnitude) = weights
        .map(f64::from)
        .fold((0.0, 0.0), |(sum, magnitude), w| {
            (sum + w, magnitude + w.abs())
        });
    if sum.abs() <= MIN_RELATIVE_SUM * magnitude {
        0.0
    } else {
        sum as f32
    }
}

impl BatchTotals {
    pub(super) fn new(checked: &CheckedBatch<'_>, reduction: Reduction) -> Self {
        let items = checked.shape().items;
        let labels: u64 = checked.label_lengths.iter().copied().map(u64::from).sum();
        Self {
            reduction,
            items: items as f32,
            labels: labels.max(1) as f32,
            weights: sum_of_weights((0..items).map(|n| checked.weight(n))),
        }
    }

    /// Returns the factor of an item's loss in the reduced loss. Its gradient has the same factor.
    pub(super) fn scale_of(&self, weight: f32, labels: u32) -> f32 {
        match self.reduction {
            Reduction::None | Reduction::Sum => weight,
            Reduction::MeanBatch => weight / self.items,
            Reduction::MeanLabel => weight / (self.items * labels.max(1) as f32),
            Reduction::MeanVolume => weight / self.labels,
            Reduction::MeanWeighted if self.weights == 0.0 => 0.0,
            Reduction::MeanWeighted => weight / self.weights,
        }
    }
}
