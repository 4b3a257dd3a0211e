//! Splits a batch by items if its arrays exceed a buffer. Nearly all batches have a single part,
//! the whole batch.

use std::ops::Range;

use crate::batch::{BatchShape, CheckedBatch, Layout};
use crate::cpu;
use crate::options::{Options, Reduction};
use crate::output::RawOutput;

/// The parts of a batch.
pub(super) struct BatchParts<'a> {
    checked: &'a CheckedBatch<'a>,
    /// The options of each part. With several parts, nothing is reduced on the device, and the
    /// factors of the reduction are in `scales`.
    options: Options,
    reduction: Reduction,
    /// The weight of each item, multiplied by the factor of the reduction if there are several
    /// parts.
    scales: Vec<f32>,
    items_per_part: usize,
}

/// Consecutive items of a batch.
pub(super) struct BatchPart<'a> {
    parts: &'a BatchParts<'a>,
    pub(super) items: Range<usize>,
}

impl<'a> BatchParts<'a> {
    /// Splits into parts of at most `max_items` whose input fits a buffer of `max_buffer` bytes.
    pub(super) fn new(
        checked: &'a CheckedBatch<'a>,
        options: &Options,
        max_buffer: u64,
        max_items: usize,
    ) -> Self {
        let shape = checked.shape();
        let item_bytes = (shape.frames * shape.classes * size_of::<f32>()).max(1) as u64;
        let fitting = usize::try_from(max_buffer / item_bytes).unwrap_or(usize::MAX);
        let items_per_part = fitting.min(max_items).clamp(1, shape.items.max(1));
        let several = items_per_part < shape.items;
        Self {
            checked,
            options: Options {
                reduction: if several {
                    Reduction::None
                } else {
                    options.reduction
                },
                ..*options
            },
            reduction: options.reduction,
            scales: if several {
                cpu::scales(checked, options.reduction)
            } else {
                (0..shape.items).map(|item| checked.weight(item)).collect()
            },
            items_per_part,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = BatchPart<'_>> {
        let items = self.checked.shape().items;
        // An empty batch has one part, since it has a reduced loss.
        (0..items.max(1))
            .step_by(self.items_per_part)
            .map(move |first| BatchPart {
                parts: self,
                items: first..(first + self.items_per_part).min(items),
            })
    }

    /// Reduces the losses of several parts.
    pub(super) fn reduce(&self, output: &mut RawOutput) {
        if self.options.reduction != self.reduction {
            output.reduced = Some(cpu::reduce(&self.scales, &output.loss));
        }
    }
}

impl BatchPart<'_> {
    pub(super) fn options(&self) -> &Options {
        &self.parts.options
    }

    pub(super) fn shape(&self) -> BatchShape {
        BatchShape {
            items: self.items.len(),
            ..*self.parts.checked.shape()
        }
    }

    /// Returns the shape to plan for.
    pub(super) fn plan_shape(&self) -> BatchShape {
        self.shape().for_plan()
    }

    /// Returns true if the part is the whole batch, whose input is contiguous in either layout.
    pub(super) fn is_whole(&self) -> bool {
        self.items.len() == self.parts.checked.shape().items
    }

    pub(super) fn labels(&self) -> &[i32] {
        self.parts.checked.labels_of(self.items.clone())
    }

    pub(super) fn logit_lengths(&self) -> &[u32] {
        &self.parts.checked.logit_lengths[self.items.clone()]
    }

    pub(super) fn label_lengths(&self) -> &[u32] {
        &self.parts.checked.label_lengths[self.items.clone()]
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.parts.scales[self.items.clone()]
    }

    /// Returns the contiguous ranges of the batch's input that hold the part's rows, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let shape = *self.parts.checked.shape();
        let first = self.items.start;
        let (runs, length) = if self.is_whole() {
            (1, shape.elements())
        } else {
            match shape.layout {
                Layout::BatchMajor => (1, self.items.len() * shape.frames * shape.classes),
                Layout::TimeMajor => (shape.frames, self.items.len() * shape.classes),
            }
        };
        (0..runs).map(move |frame| {
            let start = shape.row(first, frame);
            start..start + length
        })
    }

    pub(super) fn values(&self) -> &[f32] {
        self.parts.checked.values
    }

    pub(super) fn upload(&self, queue: &wgpu::Queue, logits: &wgpu::Buffer) {
        let mut offset = 0;
        for run in self.runs() {
            let bytes: &[u8] = bytemuck::cast_slice(&self.values()[run]);
            queue.write_buffer(logits, offset, bytes);
            offset += bytes.len() as u64;
        }
    }

    /// Returns the labels of item `n` of the part, without repeated ones if the options collapse
    /// them.
    pub(super) fn labels_of(&self, n: usize) -> Vec<i32> {
        let labels = self.parts.checked.item_labels(self.items.start + n);
        self.options().repeated_labels.applied(labels)
    }
}
