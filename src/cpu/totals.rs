//! totals: what a reduction needs of the whole batch; twin of `shaders/totals.wgsl`.

use crate::options::Reduction;
use crate::problem::Problem;

/// The sums of the batch.
#[derive(Debug)]
pub(super) struct Totals {
    reduction: Reduction,
    items: f32,
    labels: f32,
    weights: f32,
}

impl Totals {
    pub(super) fn new(problem: &Problem<'_>, reduction: Reduction) -> Self {
        let items = problem.shape().items;
        let labels: u64 = problem.label_lengths.iter().copied().map(u64::from).sum();
        Self {
            reduction,
            items: items as f32,
            labels: labels.max(1) as f32,
            weights: (0..items).map(|n| problem.weight(n)).sum(),
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
