//! A batch on the host, as the caller has it.

use super::labels::Labels;
use super::shape::Layout;

/// A batch on the host: borrowed arrays and their names. Nothing is checked before it is used.
///
/// Lengths are per item. Where no logit lengths are given, every frame counts.
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
    /// A batch-major input `values` of shape `[items, frames, classes]`.
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

    /// A time-major input `values` of shape `[frames, items, classes]`, PyTorch's order.
    #[must_use]
    pub fn time_major([frames, items, classes]: [usize; 3], values: &'a [f32]) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..Self::new([items, frames, classes], values)
        }
    }

    /// Padded labels `[N, Lmax]` and how many of each row count.
    #[must_use]
    pub fn labels(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Padded { values, lengths })
    }

    /// Labels one after the other, `[ΣL]`, and how many belong to each item.
    #[must_use]
    pub fn labels_concatenated(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Concatenated { values, lengths })
    }

    /// A sparse tensor as TensorFlow has it: `indices` of `[item, position]` in order, their `values`, and the dense
    /// shape `[N, Lmax]`.
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

    /// Padded labels `[N, Lmax]` with a mask of the same shape that is 0 where a label counts and 1 after the last,
    /// as optax's `label_paddings`.
    #[must_use]
    pub fn label_paddings(self, values: &'a [i32], paddings: &'a [f32]) -> Self {
        self.with(Labels::Masked { values, paddings })
    }

    /// How many items there are.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// The input.
    pub(crate) fn values(&self) -> &'a [f32] {
        self.values
    }

    /// With another input of the same shape.
    pub(crate) fn with_values<'b>(self, values: &'b [f32]) -> Batch<'b>
    where
        'a: 'b,
    {
        Batch { values, ..self }
    }

    /// Each item of weight 1.
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

    /// How many frames of each item count. Takes the place of a mask given before.
    #[must_use]
    pub fn logit_lengths(self, lengths: &'a [i32]) -> Self {
        Self {
            logit_lengths: Some(lengths),
            logit_paddings: None,
            ..self
        }
    }

    /// A mask `[N, T]` that is 0 where a frame counts and 1 after the last, as optax's `logit_paddings`. Takes the place
    /// of lengths given before.
    #[must_use]
    pub fn logit_paddings(self, paddings: &'a [f32]) -> Self {
        Self {
            logit_paddings: Some(paddings),
            logit_lengths: None,
            ..self
        }
    }

    /// One weight an item: an incoming gradient, or Keras's `sample_weight`.
    #[must_use]
    pub fn weights(self, weights: &'a [f32]) -> Self {
        Self {
            weights: Some(weights),
            ..self
        }
    }
}
