//! The batches for timing and for measuring accuracy, the same on every machine.

use std::ops::Range;

use ctc_wgpu::{Batch, BatchShape};

use crate::seeded;

/// A batch-major batch with blank 0 and full lengths.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The shape, batch-major with padded labels.
    pub shape: BatchShape,
    /// The logits `[N, T, C]`.
    pub logits: Vec<f32>,
    /// The labels `[N, L]`.
    pub labels: Vec<i32>,
    /// The label lengths `[N]`, all L.
    pub label_lengths: Vec<i32>,
}

impl Inputs {
    /// Makes a batch of T, N, C and L as in [`SHAPES`](crate::seeded::SHAPES), with logits
    /// multiplied by `scale`.
    pub fn new(shape: [usize; 4], scale: f32) -> Self {
        let (logits, labels) = seeded::numbers(shape, scale);
        let [frames, items, classes, max_labels] = shape;
        Self {
            shape: BatchShape::new(items, frames, classes, max_labels),
            logits,
            labels,
            label_lengths: vec![i32::try_from(max_labels).unwrap_or(i32::MAX); items],
        }
    }

    /// Returns all items as a batch.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.part(0..self.shape.items)
    }

    /// Returns some of the items as a batch of their own.
    pub fn part(&self, items: Range<usize>) -> Batch<'_> {
        let BatchShape {
            frames,
            classes,
            max_labels,
            ..
        } = self.shape;
        let of = |width: usize| items.start * width..items.end * width;
        Batch::new(
            [items.len(), frames, classes],
            &self.logits[of(frames * classes)],
        )
        .labels(
            &self.labels[of(max_labels)],
            &self.label_lengths[items.clone()],
        )
    }
}

/// Formats a shape of [`SHAPES`](crate::seeded::SHAPES) as `T=… N=… C=… L=…`.
pub fn name([frames, items, classes, labels]: [usize; 4]) -> String {
    format!("T={frames} N={items} C={classes} L={labels}")
}
