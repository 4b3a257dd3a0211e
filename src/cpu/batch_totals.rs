//! totals: what a reduction needs of the whole batch; twin of `shaders/batch_totals.wgsl`.

use crate::batch::CheckedBatch;
use crate::options::Reduction;

/// The sums of the batch.
#[derive(Debug)]
pub(super) struct Totals {
    reduction: Reduction,
    items: f32,
    labels: f32,
    /// 0 where they cancel.
    weights: f32,
}

/// Weights whose sum is this small a part of their sizes have no mean: the losses' own rounding would decide it.
const CANCELS: f64 = 1e-3;

/// The sum of the weights.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the nearest f32 is what is wanted"
)]
fn sum_of(weights: impl Iterator<Item = f32>) -> f32 {
    let (sum, size) = weights
        .map(f64::from)
        .fold((0.0, 0.0), |(sum, size), w| (sum + w, size + w.abs()));
    if sum.abs() <= CANCELS * size {
        0.0
    } else {
        sum as f32
    }
}

impl Totals {
    pub(super) fn new(checked: &CheckedBatch<'_>, reduction: Reduction) -> Self {
        let items = checked.shape().items;
        let labels: u64 = checked.label_lengths.iter().copied().map(u64::from).sum();
        Self {
            reduction,
            items: items as f32,
            labels: labels.max(1) as f32,
            weights: sum_of((0..items).map(|n| checked.weight(n))),
        }
    }

    /// The factor of an item's loss in the reduced number: of its gradient too.
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
