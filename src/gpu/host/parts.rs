//! A batch that no single buffer can hold, cut by items. Nearly always there is one part, the whole batch.

use std::ops::Range;

use crate::batch::{BatchShape, CheckedBatch, LabelLayout};
use crate::cpu;
use crate::options::{Options, Reduction};
use crate::output::RawOutput;

/// The parts of a batch.
pub(super) struct Parts<'a> {
    checked: &'a CheckedBatch<'a>,
    /// The options of each part: where there are several, the factors of the reduction go into the weights.
    options: Options,
    reduction: Reduction,
    scales: Vec<f32>,
    size: usize,
}

/// Some items of a batch.
pub(super) struct Part<'a> {
    parts: &'a Parts<'a>,
    pub(super) items: Range<usize>,
}

impl<'a> Parts<'a> {
    /// Parts that a buffer of so many bytes holds, of at most so many items each.
    pub(super) fn new(
        checked: &'a CheckedBatch<'a>,
        options: &Options,
        max_buffer: u64,
        max_items: usize,
    ) -> Self {
        let shape = checked.shape();
        let item_bytes = (shape.frames * shape.classes * size_of::<f32>()).max(1) as u64;
        let fitting = usize::try_from(max_buffer / item_bytes).unwrap_or(usize::MAX);
        let size = fitting.min(max_items).clamp(1, shape.items.max(1));
        let several = size < shape.items;
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
            size,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Part<'_>> {
        let items = self.checked.shape().items;
        // An empty batch is one part: it has a reduced number too.
        (0..items.max(1)).step_by(self.size).map(move |first| Part {
            parts: self,
            items: first..(first + self.size).min(items),
        })
    }

    /// The number over all parts, where no part could know it.
    pub(super) fn reduce(&self, answer: &mut RawOutput) {
        if self.options.reduction != self.reduction {
            answer.reduced = Some(cpu::reduce(&self.scales, &answer.loss));
        }
    }
}

impl Part<'_> {
    pub(super) fn options(&self) -> &Options {
        &self.parts.options
    }

    pub(super) fn shape(&self) -> BatchShape {
        BatchShape {
            items: self.items.len(),
            ..*self.parts.checked.shape()
        }
    }

    /// The shape that is planned for: the longest of concatenated labels is rounded up, so that batches whose longest
    /// labels differ a little share a plan.
    pub(super) fn plan_shape(&self) -> BatchShape {
        let shape = self.shape();
        match shape.label_layout {
            LabelLayout::Padded => shape,
            LabelLayout::Concatenated => BatchShape {
                max_labels: shape.max_labels.next_power_of_two(),
                ..shape
            },
        }
    }

    /// Whether the part is the whole batch, whose rows lie together in either layout.
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

    /// The runs of the input that hold the part's rows, in order: ranges of elements of the whole.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let shape = *self.parts.checked.shape();
        let first = self.items.start;
        let (runs, length) = if self.is_whole() {
            (1, shape.elements())
        } else {
            match shape.layout {
                crate::batch::Layout::BatchMajor => {
                    (1, self.items.len() * shape.frames * shape.classes)
                }
                crate::batch::Layout::TimeMajor => (shape.frames, self.items.len() * shape.classes),
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

    /// The labels of one of its items that count.
    pub(super) fn labels_of(&self, n: usize) -> Vec<i32> {
        let labels = self.parts.checked.item_labels(self.items.start + n);
        self.options().repeated_labels.applied(labels)
    }
}
