//! Into what a batch is cut: how many items a group has, how many steps a page, how many frames a chunk.

use crate::batch::{BatchShape, LabelLayout, Layout};
use crate::error::PlanError;
use crate::kernels::ArrayId;
use crate::limits::DeviceLimits;
use crate::plan::{Span, Table, Task};

/// Frames of a block, of which one row of states is kept; twin of BLOCK in shaders/shared/index.wgsl.
pub(super) const BLOCK: u64 = 4;

/// Bytes of a number; of a label's two words or a frame's statistics; of an item; of four floats.
const WORD: u64 = 4;
const PAIR: u64 = 8;
const ITEM: u64 = 16;
const VECTOR: u64 = 16;

/// The words of the sums before the starts of concatenated labels.
const SUMS_HEAD: u64 = 4;

/// Vectors of a quad of places: of its states; of a block of frames in the lattice.
const STATES: u64 = 4;
const PARTS: u64 = 6;

/// Rows of states of a sweep that does not hold them in registers, in turn; where there is a way out, a block's too.
const TURNS: u64 = 2;

/// Steps whose moves share a word.
const STEPS_A_WORD: u64 = 2;

/// `reduce` is one workgroup, of 32 lanes at least, and goes round its items within the rounds of a loop.
const LARGEST_TILE: u64 = 1 << 20;

/// No table is larger: some drivers count a binding's bytes in 32 bits, and rather than fill a GPU the rows of a long item
/// are made twice.
const LARGEST_TABLE: u64 = 1 << 30;

/// The tiling, and the sizes that follow from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    /// Labels that the tables have room for. An item with more labels than frames has no alignment, so more than T
    /// are never looked at.
    pub(super) width: u64,
    /// Quads of places: of a blank and a label each, four at a time.
    pub(super) quads: u64,
    /// Steps of the longer direction, at least 1.
    pub(super) steps: u64,
    /// Items of a group, at least 1.
    pub(super) group: u64,
    pub(super) segment_steps: u64,
    pub(super) slice_frames: u64,
    /// Whether what the sweeps read of the input is gathered, since no binding spans it.
    pub(super) gathered: bool,
    /// Whether rows of states lie in the carry.
    pub(super) scratch: bool,
    scratch_rows: u64,
    task: Task,
    head_bytes: u64,
    alignment: u64,
    slice: u64,
    shape: BatchShape,
}

impl Tiling {
    pub(super) fn new(
        shape: &BatchShape,
        task: Task,
        limits: &DeviceLimits,
        scratch: bool,
    ) -> Result<Self, PlanError> {
        let [items, frames, classes] = [shape.items, shape.frames, shape.classes].map(|n| n as u64);
        let width = width(shape);
        let quads = quads(shape);
        let directions = task.directions();
        let steps = frames.div_ceil(directions).max(1);
        let capacity = limits.max_binding.min(limits.max_buffer).min(LARGEST_TABLE);
        let alignment = u64::from(limits.offset_alignment.max(4));
        let element = shape.element.bytes() as u64;
        // A slice of the caller's buffer begins at an aligned offset, up to one alignment before its first element, and
        // ends with a whole word.
        let slice = limits
            .max_binding
            .min(1 << 31)
            .saturating_sub(alignment + WORD - element);

        let mut group = items.clamp(1, LARGEST_TILE);
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
        let head_bytes = classes * WORD;
        let scratch_rows = match (scratch, task) {
            (false, _) => 0,
            (true, Task::Align) => TURNS,
            (true, _) => TURNS + BLOCK,
        };
        let rows = 1 + scratch_rows;
        let row = directions * STATES * VECTOR * quads;
        let input_row = classes * element;
        fits(WORD, slice, "one item's length")?;
        fits(input_row, slice, "one frame of logits")?;
        fits(frames * PAIR, capacity, "an item's statistics")?;
        if task.has_states() {
            fits((rows + 1) * row, capacity, "an item's states")?;
        }
        fits(ITEM.max(width * PAIR), capacity, "an item's labels")?;
        if task == Task::LossAndGrad {
            fits(head_bytes, capacity, "an item's classes")?;
        }
        if shape.label_layout == LabelLayout::Padded {
            fits(
                shape.max_labels as u64 * WORD,
                slice,
                "an item's padded labels",
            )?;
        }
        match task {
            Task::Loss | Task::LossAndGrad => {}
            Task::Align => {
                fits(frames * WORD, slice, "an item's path")?;
                fits(shape.max_labels as u64 * PAIR, slice, "an item's spans")?;
            }
            Task::Greedy => fits(frames * PAIR, slice, "an item's reading")?,
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
        let block = match task {
            Task::LossAndGrad => directions * PARTS * VECTOR * quads,
            Task::Align => BLOCK / STEPS_A_WORD * WORD * quads,
            Task::Loss | Task::Greedy => 0,
        };
        fits(block, capacity, "one block of an item's states")?;

        // Only a lone item is cut further: while there are several, fewer of them make a table fit.
        let blocks = steps.div_ceil(BLOCK);
        group = group.min(capacity / (block * blocks).max(1)).max(1);
        let (gathered, slice_frames) = match shape.layout {
            Layout::BatchMajor => {
                group = group.min(slice / (input_row * frames).max(1)).max(1);
                (
                    slice / input_row < frames && task.has_states(),
                    slice / input_row,
                )
            }
            // From a group's first frame to its last lie the frames of all items.
            Layout::TimeMajor => {
                let chunk = (slice / input_row - group) / items.max(1) + 1;
                (chunk < frames && task.has_states(), chunk)
            }
        };
        let mut segment_blocks = capacity / (block * group).max(1);
        if gathered {
            let entries = directions * (width + 1) * WORD * BLOCK;
            group = group.min(capacity / entries);
            if group == 0 {
                return Err(PlanError::Limit {
                    limit: "max_storage_buffer_binding_size",
                    has: limits.max_binding,
                    needs: entries,
                    what: "one block of an item's entries",
                });
            }
            segment_blocks = segment_blocks.min(capacity / (entries * group));
        }
        let segment_blocks = segment_blocks.min(blocks).max(1);
        let tiling = Self {
            width,
            quads,
            steps,
            group,
            segment_steps: (segment_blocks * BLOCK).min(steps),
            slice_frames: slice_frames.min(frames),
            gathered,
            scratch,
            scratch_rows,
            task,
            head_bytes,
            alignment,
            slice,
            shape: *shape,
        };
        let carry = tiling.carry_rows() * row * group;
        if carry > capacity {
            return Err(PlanError::Limit {
                limit: "max_storage_buffer_binding_size",
                has: limits.max_binding,
                needs: carry,
                what: "the states at which pages begin",
            });
        }
        Ok(tiling)
    }

    /// The most words of one of the caller's arrays that a binding holds, wherever in it they begin.
    pub(super) fn slice_words(&self) -> u64 {
        self.slice / WORD
    }

    pub(super) fn segments(&self) -> u64 {
        self.steps.div_ceil(self.segment_steps)
    }

    /// Whether rows are kept for one page at a time, and made again from the states at which a page begins.
    pub(super) fn checkpointed(&self) -> bool {
        self.task != Task::Loss && self.segments() > 1
    }

    /// The first row of the carry that is scratch.
    pub(super) fn spill_row(&self) -> u64 {
        1 + if self.checkpointed() {
            self.segments()
        } else {
            0
        }
    }

    /// Rows of the carry, of each direction and item.
    fn carry_rows(&self) -> u64 {
        self.spill_row() + self.scratch_rows
    }

    /// The tables that the tiling ask for. A binding must not be empty, so each has room for one item at least.
    pub(super) fn tables(&self) -> Vec<Table> {
        let [items, frames] = [self.shape.items, self.shape.frames].map(|n| n as u64);
        let starts = match self.shape.label_layout {
            LabelLayout::Padded => 0,
            LabelLayout::Concatenated => items,
        };
        let directions = self.task.directions();
        let blocks = self.segment_steps.div_ceil(BLOCK) * directions * self.group;
        let if_grad = |bytes| match self.task {
            Task::LossAndGrad => bytes,
            _ => 0,
        };
        let lattice = if_grad(blocks * PARTS * VECTOR * self.quads);
        let first_of_class = if_grad(self.group * self.head_bytes);
        let gathered = if self.gathered {
            blocks * BLOCK * (self.width + 1) * WORD
        } else {
            0
        };
        let carry = self.carry_rows() * directions * self.group * STATES * VECTOR * self.quads;
        let table = |array, bytes: u64| Table {
            array,
            bytes: bytes.max(ITEM),
        };
        let mut tables = vec![
            table(ArrayId::Totals, (SUMS_HEAD + starts) * WORD),
            table(ArrayId::Items, self.group * ITEM),
            table(ArrayId::ItemStatus, self.group * WORD),
            table(ArrayId::Exponents, self.group * WORD),
            table(ArrayId::LabelTable, self.group * self.width * PAIR),
            table(ArrayId::FirstOfClass, first_of_class),
            table(ArrayId::RowStats, frames * self.group * PAIR),
            table(ArrayId::Carry, carry),
            table(ArrayId::Gathered, gathered),
            table(ArrayId::Lattice, lattice),
        ];
        if self.task == Task::Align {
            let moves = blocks * BLOCK / STEPS_A_WORD * WORD * self.quads;
            tables.push(table(ArrayId::Backpointers, moves));
            tables.push(table(ArrayId::States, self.group * frames * WORD));
            tables.push(table(ArrayId::BacktraceStates, self.group * WORD));
        }
        tables
    }

    /// The slice of an array with `stride` words an item that holds items `first..first + count`: what to bind, and
    /// at which word of that it begins.
    pub(super) fn items_span(&self, first: u64, count: u64, stride: u64) -> (Span, u64) {
        self.span(first * stride, count * stride, WORD)
    }

    /// The slice of the input with frames `frame..frame + frames` of items `first..first + count`.
    pub(super) fn input_span(
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
                frames
                    .checked_sub(1)
                    .map_or(0, |before| before * self.shape.items as u64 + count),
            ),
        };
        let element = self.shape.element.bytes() as u64;
        self.span(row * classes, rows * classes, element)
    }

    /// `count` elements from element `first` on, in whole words.
    fn span(&self, first: u64, count: u64, element: u64) -> (Span, u64) {
        let start = first * element / self.alignment * self.alignment;
        let base = first - start / element;
        let bytes = ((base + count) * element).max(WORD);
        let span = Span::Range {
            offset: start,
            bytes: bytes.next_multiple_of(WORD),
        };
        (span, base)
    }
}

/// Labels that the tables have room for.
pub(super) fn width(shape: &BatchShape) -> u64 {
    (shape.frames as u64).min(shape.max_labels as u64)
}

/// Quads of the `width + 1` places.
pub(super) fn quads(shape: &BatchShape) -> u64 {
    width(shape) / 4 + 1
}
