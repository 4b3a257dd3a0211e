//! Into what a batch is cut: how many items a group has, how many steps a page, how many frames a chunk.

use crate::error::PlanError;
use crate::kernels::Slot;
use crate::limits::Limits;
use crate::plan::{Goal, Span, Table};
use crate::problem::{LabelLayout, Layout, Shape};

/// Bytes of a number; of a scaled float, or of a label's two words; of an item.
const WORD: u64 = 4;
const PAIR: u64 = 8;
const ITEM: u64 = 16;

/// The words of the sums before the starts of concatenated labels.
const SUMS_HEAD: u64 = 2;

/// `reduce` is one workgroup, of 32 lanes at least, and goes round its items within the rounds of a loop.
const LARGEST_GROUP: u64 = 1 << 20;

/// A binding's bytes are counted in 32 bits by some drivers.
const LARGEST_TABLE: u64 = 1 << 31;

/// The cuts, and the sizes that follow from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cuts {
    /// Labels that the tables have room for. An item with more labels than frames has no alignment, so more than T
    /// are never looked at.
    pub(super) width: u64,
    /// Steps of the longer direction, at least 1.
    pub(super) steps: u64,
    /// Items of a group, at least 1.
    pub(super) group: u64,
    pub(super) page_steps: u64,
    pub(super) chunk_frames: u64,
    alignment: u64,
    slice: u64,
    shape: Shape,
}

impl Cuts {
    pub(super) fn new(shape: &Shape, goal: Goal, limits: &Limits) -> Result<Self, PlanError> {
        let [items, frames, classes] = [shape.items, shape.frames, shape.classes].map(|n| n as u64);
        let width = frames.min(shape.max_labels as u64);
        let steps = frames.div_ceil(2).max(1);
        let states = 2 * width + 1;
        let capacity = limits.max_binding.min(limits.max_buffer).min(LARGEST_TABLE);
        let alignment = u64::from(limits.offset_alignment.max(4));
        // A slice of the caller's buffer begins at an aligned offset, up to one alignment before its first element.
        let slice = limits
            .max_binding
            .min(LARGEST_TABLE)
            .saturating_sub(alignment);

        let mut group = items.clamp(1, LARGEST_GROUP);
        let mut fits = |bytes_per_item: u64, room: u64, what: &'static str| {
            group = group.min(room / bytes_per_item.max(1));
            if group > 0 {
                return Ok(());
            }
            Err(PlanError::Limit {
                limit: "max_storage_buffer_binding_size",
                has: limits.max_binding,
                needs: bytes_per_item + alignment,
                what,
            })
        };
        fits(classes * WORD, slice, "one frame of logits")?;
        fits(frames * PAIR, capacity, "an item's statistics")?;
        fits(4 * states * PAIR, capacity, "an item's states")?;
        fits(ITEM.max(width * PAIR), capacity, "an item's labels")?;
        if shape.label_layout == LabelLayout::Padded {
            fits(
                shape.max_labels as u64 * WORD,
                slice,
                "an item's padded labels",
            )?;
        }
        let sums = (SUMS_HEAD + items) * WORD;
        if shape.label_layout == LabelLayout::Concatenated && sums > capacity {
            return Err(PlanError::Limit {
                limit: "max_storage_buffer_binding_size",
                has: limits.max_binding,
                needs: sums,
                what: "the starts of concatenated labels",
            });
        }

        // Only a lone item is cut further: while there are several, fewer of them make a table fit.
        let wider = match goal {
            Goal::LossAndGrad => states,
            Goal::Loss => width + 1,
        };
        let step_bytes = 2 * wider * PAIR;
        fits(step_bytes, capacity, "one step of an item's states")?;
        group = group.min(capacity / (step_bytes * steps)).max(1);
        let page_steps = (capacity / (step_bytes * group)).min(steps);
        let input_row = classes * WORD;
        let chunk_frames = match shape.layout {
            Layout::BatchMajor => {
                group = group.min(slice / (input_row * frames).max(1)).max(1);
                slice / input_row
            }
            // From a group's first frame to its last lie the frames of all items.
            Layout::TimeMajor => (slice / input_row - group) / items.max(1) + 1,
        };
        Ok(Self {
            width,
            steps,
            group,
            page_steps,
            chunk_frames: chunk_frames.min(frames),
            alignment,
            slice,
            shape: *shape,
        })
    }

    /// The most words of one of the caller's arrays that a binding holds, wherever in it they begin.
    pub(super) fn slice_words(&self) -> u64 {
        self.slice / WORD
    }

    /// The states of an item, and the stride of their rows.
    pub(super) fn states(&self) -> u64 {
        2 * self.width + 1
    }

    /// The tables that the cuts ask for. A binding must not be empty, so each has room for one item at least.
    pub(super) fn tables(&self, goal: Goal) -> Vec<Table> {
        let [items, frames] = [self.shape.items, self.shape.frames].map(|n| n as u64);
        let starts = match self.shape.label_layout {
            LabelLayout::Padded => 0,
            LabelLayout::Concatenated => items,
        };
        let pages = usize::try_from(self.steps.div_ceil(self.page_steps)).unwrap_or(usize::MAX);
        let page_rows = self.page_steps * 2 * self.group;
        let lattice = match goal {
            Goal::LossAndGrad => page_rows * self.states() * PAIR,
            Goal::Loss => 0,
        };
        let table = |slot, bytes: u64, pages| Table {
            slot,
            bytes: bytes.max(ITEM),
            pages,
        };
        vec![
            table(Slot::Sums, (SUMS_HEAD + starts) * WORD, 1),
            table(Slot::Items, self.group * ITEM, 1),
            table(Slot::Verdicts, self.group * WORD, 1),
            table(Slot::LabelTable, self.group * self.width * PAIR, 1),
            table(Slot::RowStats, frames * self.group * PAIR, 1),
            table(Slot::Carry, self.group * 4 * self.states() * PAIR, 1),
            table(Slot::Emissions, page_rows * (self.width + 1) * PAIR, pages),
            table(Slot::Lattice, lattice, pages),
        ]
    }

    /// The slice of an array with `stride` words an item that holds items `first..first + count`: what to bind, and
    /// at which word of that it begins.
    pub(super) fn items_span(&self, first: u64, count: u64, stride: u64) -> (Span, u64) {
        self.words_span(first * stride, count * stride)
    }

    /// The slice of the input with frames `frame..frame + frames` of items `first..first + count`.
    pub(super) fn chunk_span(
        &self,
        first: u64,
        count: u64,
        frame: u64,
        frames: u64,
    ) -> (Span, u64) {
        let classes = self.shape.classes as u64;
        let (row, rows) = match self.shape.layout {
            // A group of several items has all its frames in its only chunk.
            Layout::BatchMajor => (
                first * self.shape.frames as u64 + frame,
                (count - 1) * self.shape.frames as u64 + frames,
            ),
            Layout::TimeMajor => (
                frame * self.shape.items as u64 + first,
                (frames - 1) * self.shape.items as u64 + count,
            ),
        };
        self.words_span(row * classes, rows * classes)
    }

    fn words_span(&self, first: u64, words: u64) -> (Span, u64) {
        let start = first * WORD / self.alignment * self.alignment;
        let base = first - start / WORD;
        let span = Span::Range {
            offset: start,
            bytes: (base + words.max(1)) * WORD,
        };
        (span, base)
    }
}
