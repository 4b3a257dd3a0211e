//! A batch on the host, before any check.

use super::labels::Labels;
use super::shape::Layout;

/// A batch on the host: borrowed arrays, which are checked when the batch is used.
///
/// A loss or an alignment needs labels, set by one of [`labels`](Self::labels()),
/// [`labels_concatenated`](Self::labels_concatenated), [`labels_sparse`](Self::labels_sparse) and
/// [`label_paddings`](Self::label_paddings); the last call counts. Without logit lengths, every
/// frame is valid. Without weights, each item has weight 1.
///
/// ```
/// use ctc_wgpu::Batch;
/// let logits = vec![0.0; 2 * 5 * 4]; // [N = 2, T = 5, C = 4]
/// let batch = Batch::new([2, 5, 4], &logits).labels(&[1, 2, 3, 0], &[2, 1]).logit_lengths(&[5, 4]);
/// # let _ = batch;
/// ```
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    pub(super) items: usize,
    pub(super) frames: usize,
    pub(super) classes: usize,
    pub(super) layout: Layout,
    pub(super) values: &'a [f32],
    pub(super) labels: Option<Labels<'a>>,
    pub(super) logit_lengths: Option<&'a [i32]>,
    pub(super) logit_paddings: Option<&'a [f32]>,
    pub(super) weights: Option<&'a [f32]>,
}

impl<'a> Batch<'a> {
    /// Creates a batch with a batch-major input `values` of shape `[items, frames, classes]`.
    #[must_use]
    pub fn new([items, frames, classes]: [usize; 3], values: &'a [f32]) -> Self {
        Self {
            items,
            frames,
            classes,
            layout: Layout::BatchMajor,
            values,
            labels: None,
            logit_lengths: None,
            logit_paddings: None,
            weights: None,
        }
    }

    /// Creates a batch with a time-major input `values` of shape `[frames, items, classes]`, as in
    /// PyTorch.
    #[must_use]
    pub fn time_major([frames, items, classes]: [usize; 3], values: &'a [f32]) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..Self::new([items, frames, classes], values)
        }
    }

    /// Sets padded labels `[N, Lmax]` and the label lengths `[N]`. Values past an item's length are
    /// ignored.
    #[must_use]
    pub fn labels(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Padded { values, lengths })
    }

    /// Sets concatenated labels `[ΣL]`, one item after the other, and the label lengths `[N]`.
    #[must_use]
    pub fn labels_concatenated(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Concatenated { values, lengths })
    }

    /// Sets labels from a sparse tensor as in TensorFlow: `indices` of `[item, position]`, their
    /// `values`, and the dense shape `[N, Lmax]`. The indices must be sorted, and the positions of
    /// an item must have no gaps.
    #[must_use]
    pub fn labels_sparse(
        self,
        indices: &'a [[i64; 2]],
        values: &'a [i32],
        shape: [usize; 2],
    ) -> Self {
        self.with(Labels::Sparse {
            indices,
            values,
            shape,
        })
    }

    /// Sets padded labels `[N, Lmax]` with a mask of the same shape, as optax's `label_paddings`: 0
    /// for labels, then 1 for padding to the end of the row.
    #[must_use]
    pub fn label_paddings(self, values: &'a [i32], paddings: &'a [f32]) -> Self {
        self.with(Labels::Masked { values, paddings })
    }

    /// Returns the number of items.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Returns the input.
    pub(crate) fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Returns this batch with another input of the same shape.
    pub(crate) fn with_values<'b>(self, values: &'b [f32]) -> Batch<'b>
    where
        'a: 'b,
    {
        Batch { values, ..self }
    }

    /// Returns this batch with weight 1 for each item.
    pub(crate) fn unweighted(self) -> Self {
        Self {
            weights: None,
            ..self
        }
    }

    fn with(self, labels: Labels<'a>) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// Sets the number of valid frames of each item, `[N]`, each at most T. Replaces an earlier
    /// mask.
    #[must_use]
    pub fn logit_lengths(self, lengths: &'a [i32]) -> Self {
        Self {
            logit_lengths: Some(lengths),
            logit_paddings: None,
            ..self
        }
    }

    /// Sets a mask `[N, T]`, as optax's `logit_paddings`: 0 for valid frames, then 1 for padding to
    /// the end of the row. Replaces earlier lengths.
    #[must_use]
    pub fn logit_paddings(self, paddings: &'a [f32]) -> Self {
        Self {
            logit_paddings: Some(paddings),
            logit_lengths: None,
            ..self
        }
    }

    /// Sets one finite weight per item, `[N]`: an incoming gradient, or Keras's `sample_weight`.
    #[must_use]
    pub fn weights(self, weights: &'a [f32]) -> Self {
        Self {
            weights: Some(weights),
            ..self
        }
    }
}
