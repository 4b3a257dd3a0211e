//! Splits a batch into tiles of items, segments of steps and input slices of frames.

use crate::batch::{BatchShape, LabelLayout, Layout};
use crate::error::PlanError;
use crate::kernels::ArrayId;
use crate::limits::DeviceLimits;
use crate::plan::{BindingRange, Task, WorkspaceArray};

/// The number of frames per block. One row of states is stored per block. Must match BLOCK in
/// `shaders/shared/index.wgsl`.
pub(super) const BLOCK: u64 = 4;

/// Bytes of a `u32` or `f32`.
const WORD: u64 = 4;
/// Bytes of two words: of a label in the label table, of the statistics of a frame, or of a span.
const PAIR: u64 = 8;
/// Bytes of an element of `items`, which is an `Item` of `shaders/shared/index.wgsl`.
const ITEM: u64 = 16;
/// Bytes of four numbers.
const VECTOR: u64 = 16;

/// Words of the batch totals, which come before the starts of concatenated labels. Must match
/// STARTS in `shaders/batch_totals.wgsl`.
const TOTALS_WORDS: u64 = 4;

/// Vectors of the states of a quad: mantissas and exponents of its blanks and of its labels. Must
/// match `carry_part` in `shaders/shared/index.wgsl`.
const STATE_VECTORS: u64 = 4;
/// Vectors of a quad in the lattice, per block of frames. Must match LATTICE_PARTS in
/// `shaders/shared/index.wgsl`.
const LATTICE_VECTORS: u64 = 5;

/// The number of spill rows between which a recursion alternates. Sweeps of the loss also need one
/// per frame of a block.
const ALTERNATING_ROWS: u64 = 2;

/// The number of steps whose backpointers share a word. Must match `backpointer_row` in
/// `shaders/shared/index.wgsl`.
pub(super) const STEPS_PER_WORD: u64 = 8;

/// The maximum number of items of a tile. `reduce` runs as one workgroup of at least 32 lanes,
/// whose loop over the items must not exceed [`Iterations::MAX`](super::Iterations::MAX).
const LARGEST_TILE: u64 = 1 << 20;

/// The maximum bytes of a workspace array: some drivers count a binding's bytes in 32 bits, and
/// computing the states of a long item twice is better than filling the GPU's memory.
const LARGEST_WORKSPACE_ARRAY: u64 = 1 << 30;

/// The maximum bytes of a binding of a caller's array, for the same drivers.
const LARGEST_BINDING: u64 = 1 << 31;

/// The columns of the emission table, which `softmax_stats` writes so that the sweeps need not
/// compute the emissions. It is in the array `gathered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmissionTable {
    /// One column for the blank and one per label.
    OfLabels,
    /// One column per class.
    OfClasses,
}

/// The room for an array.
#[derive(Clone, Copy)]
struct Room {
    /// The bytes that the array may have.
    bytes: u64,
    /// The bytes that its binding needs in addition.
    overhead: u64,
    /// The largest binding, whatever the device's limits are.
    max: u64,
}

/// The split of a batch, and the sizes that follow from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    /// The maximum number of labels of an item in the workspace. An item with more labels than
    /// frames has no valid alignment, so labels past the first T are never read.
    pub(super) label_capacity: u64,
    /// The number of quads per row of states.
    pub(super) quads: u64,
    /// The number of steps of the longer direction, at least 1.
    pub(super) steps: u64,
    /// The number of items of a tile, at least 1.
    pub(super) tile_items: u64,
    /// The number of steps of a segment; the last segment may have fewer.
    pub(super) segment_steps: u64,
    /// The number of frames of an input slice; the last slice may have fewer.
    pub(super) slice_frames: u64,
    /// True if the entries that the sweeps need are gathered into the workspace, because the input
    /// of a tile exceeds a binding.
    pub(super) gathered: bool,
    /// The emission table, if the sweeps read one.
    pub(super) table: Option<EmissionTable>,
    /// True if states are spilled to rows of the carry, because they exceed the registers of a
    /// workgroup.
    pub(super) spill: bool,
    spill_rows: u64,
    task: Task,
    alignment: u64,
    /// The device's limits of a binding and of a buffer.
    max_binding: u64,
    max_buffer: u64,
    shape: BatchShape,
}

impl Tiling {
    pub(super) fn new(
        shape: &BatchShape,
        task: Task,
        limits: &DeviceLimits,
        spill: bool,
        max_items: u64,
    ) -> Result<Self, PlanError> {
        let alignment = u64::from(limits.offset_alignment.max(4));
        let mut tiling = Self {
            label_capacity: label_capacity(shape),
            quads: quads(shape),
            steps: (shape.frames as u64).div_ceil(task.directions()).max(1),
            tile_items: max_items.clamp(1, LARGEST_TILE),
            segment_steps: 0,
            slice_frames: 0,
            gathered: false,
            table: None,
            spill,
            // Must match `rows_of_carry` in shaders/sweep_long.wgsl.
            spill_rows: match (spill, task) {
                (false, _) => 0,
                (true, Task::Align) => ALTERNATING_ROWS,
                (true, _) => ALTERNATING_ROWS + BLOCK,
            },
            task,
            alignment,
            max_binding: limits.max_binding,
            max_buffer: limits.max_buffer,
            shape: *shape,
        };
        tiling.fit_items()?;
        let block_bytes = tiling.fit_blocks()?;
        tiling.slice_input();
        tiling.fit_segments(block_bytes)?;
        tiling.check_carry()?;
        tiling.table = tiling.emission_table(limits);
        Ok(tiling)
    }

    /// Limits the tile to the number of items with which every array fits a binding, except the
    /// input, the stored states and the gathered entries, which can also be split by frames.
    fn fit_items(&mut self) -> Result<(), PlanError> {
        let [frames, max_labels] = [self.shape.frames, self.shape.max_labels].map(|n| n as u64);
        let (workspace, caller) = (self.workspace_room(), self.caller_room());
        self.fit(WORD, caller, "the length of one item")?;
        self.fit(self.input_row_bytes(), caller, "one frame of the logits")?;
        self.fit(
            frames * PAIR,
            workspace,
            "the softmax statistics of one item",
        )?;
        if self.task.has_states() {
            let rows = 2 + self.spill_rows;
            self.fit(
                rows * self.carry_row_bytes(),
                workspace,
                "the states of one item at one frame",
            )?;
        }
        let labels = ITEM.max(self.label_bytes());
        self.fit(labels, workspace, "the labels of one item")?;
        if self.task == Task::LossAndGrad {
            self.fit(
                self.first_of_class_bytes(),
                workspace,
                "the table of one item with an entry per class",
            )?;
        }
        if self.shape.label_layout == LabelLayout::Padded {
            self.fit(max_labels * WORD, caller, "the padded labels of one item")?;
        }
        match self.task {
            Task::Loss | Task::LossAndGrad => {}
            Task::Align => {
                self.fit(frames * WORD, caller, "the path of one item")?;
                self.fit(max_labels * PAIR, caller, "the spans of one item")?;
            }
            Task::Greedy => self.fit(frames * PAIR, caller, "the decoded labels of one item")?,
        }
        let totals = (TOTALS_WORDS + self.shape.items as u64) * WORD;
        if self.shape.label_layout == LabelLayout::Concatenated && totals > workspace.bytes {
            return Err(self.too_large(totals, workspace, "the label lengths of the batch"));
        }
        Ok(())
    }

    /// Returns the number of steps whose states are stored together.
    fn stored_steps(&self) -> u64 {
        match self.task {
            Task::Align => STEPS_PER_WORD,
            _ => BLOCK,
        }
    }

    /// Limits the tile to the number of items whose stored states fit a workspace array. If those
    /// of a single item do not fit, the tile has one item, and [`fit_segments`](Self::fit_segments)
    /// splits its steps. Returns the bytes of an item's states in `stored_steps` steps.
    fn fit_blocks(&mut self) -> Result<u64, PlanError> {
        let block_bytes = match self.task {
            Task::LossAndGrad => self.task.directions() * LATTICE_VECTORS * VECTOR * self.quads,
            Task::Align => VECTOR * self.quads,
            Task::Loss | Task::Greedy => 0,
        };
        let workspace = self.workspace_room();
        self.fit(
            block_bytes,
            workspace,
            "the stored states of one item in one checkpoint segment",
        )?;
        let item_bytes = block_bytes * self.steps.div_ceil(self.stored_steps());
        let items = workspace.bytes / item_bytes.max(1);
        self.tile_items = self.tile_items.min(items).max(1);
        Ok(block_bytes)
    }

    /// Limits an input slice to the number of frames whose input fits a binding. If the batch is
    /// batch-major, limits the items of the tile first.
    fn slice_input(&mut self) {
        let [items, frames] = [self.shape.items, self.shape.frames].map(|n| n as u64);
        let caller = self.caller_room();
        let rows = caller.bytes / self.input_row_bytes();
        let slice_frames = match self.shape.layout {
            Layout::BatchMajor => {
                let tile_items = caller.bytes / (self.input_row_bytes() * frames).max(1);
                self.tile_items = self.tile_items.min(tile_items).max(1);
                rows
            }
            // Consecutive frames of an item are as many rows apart as the batch has items.
            Layout::TimeMajor => (rows - self.tile_items) / items.max(1) + 1,
        };
        self.gathered = slice_frames < frames && self.task.has_states();
        self.slice_frames = slice_frames.min(frames);
    }

    /// Limits a segment to the number of steps whose states, and whose gathered entries, each fit a
    /// workspace array.
    fn fit_segments(&mut self, block_bytes: u64) -> Result<(), PlanError> {
        let workspace = self.workspace_room();
        let block = self.stored_steps();
        let mut blocks = workspace.bytes / (block_bytes * self.tile_items).max(1);
        if self.gathered {
            let gathered_bytes = self.task.directions() * (self.label_capacity + 1) * WORD * block;
            self.fit(
                gathered_bytes,
                workspace,
                "the logits that one item's labels need in one checkpoint segment",
            )?;
            blocks = blocks.min(workspace.bytes / (gathered_bytes * self.tile_items));
        }
        let blocks = blocks.min(self.steps.div_ceil(block)).max(1);
        self.segment_steps = (blocks * block).min(self.steps);
        Ok(())
    }

    /// Checks that the carry, with the checkpoints of all segments, fits a workspace array.
    fn check_carry(&self) -> Result<(), PlanError> {
        let (bytes, workspace) = (self.carry_bytes(), self.workspace_room());
        if bytes > workspace.bytes {
            return Err(self.too_large(bytes, workspace, "the checkpoints of all segments"));
        }
        Ok(())
    }

    /// Returns the emission table that the sweeps read, if they read one. On a software adapter
    /// they compute the emissions, which is faster than reading them. They also do so if the table
    /// does not fit a workspace array, if an item is split into segments, or if the input is
    /// gathered. Alignment has no table.
    fn emission_table(&self, limits: &DeviceLimits) -> Option<EmissionTable> {
        let wanted = limits.has_gpu_sweeps() && self.task.is_loss();
        if !wanted || self.gathered || self.segments() > 1 {
            return None;
        }
        let table = if self.shape.classes as u64 <= self.label_capacity + 1 {
            EmissionTable::OfClasses
        } else {
            EmissionTable::OfLabels
        };
        let tabled = Self {
            table: Some(table),
            ..*self
        };
        (tabled.gathered_bytes() <= self.workspace_room().bytes).then_some(table)
    }

    /// Returns what `softmax_stats` writes to the array `gathered`, as numbered in
    /// `shaders/softmax_stats.wgsl`.
    pub(super) fn gather(&self) -> u32 {
        match self.table {
            None => self.gathered.into(),
            Some(EmissionTable::OfLabels) => 2,
            Some(EmissionTable::OfClasses) => 3,
        }
    }

    /// Returns the columns of a row of the array `gathered`.
    pub(super) fn gathered_columns(&self) -> u64 {
        match self.gather() {
            0 => 0,
            3 => self.shape.classes as u64,
            _ => self.label_capacity + 1,
        }
    }

    fn gathered_bytes(&self) -> u64 {
        let steps = self.segment_steps.next_multiple_of(BLOCK);
        steps * self.task.directions() * self.tile_items * self.gathered_columns() * WORD
    }

    /// Returns the room for a workspace array.
    fn workspace_room(&self) -> Room {
        Room {
            bytes: self
                .max_binding
                .min(self.max_buffer)
                .min(LARGEST_WORKSPACE_ARRAY),
            overhead: 0,
            max: LARGEST_WORKSPACE_ARRAY,
        }
    }

    /// Returns the room for an array in a caller's buffer. Its binding begins at an aligned offset,
    /// up to one alignment before the first element needed, and ends with a whole word.
    fn caller_room(&self) -> Room {
        let overhead = self.alignment + WORD - self.shape.element.bytes() as u64;
        Room {
            bytes: self
                .max_binding
                .min(LARGEST_BINDING)
                .saturating_sub(overhead),
            overhead,
            max: LARGEST_BINDING,
        }
    }

    /// Limits the tile to as many items of `bytes_per_item` as have room. `what` describes one
    /// item's part of the array, for the error.
    fn fit(
        &mut self,
        bytes_per_item: u64,
        room: Room,
        what: &'static str,
    ) -> Result<(), PlanError> {
        self.tile_items = self.tile_items.min(room.bytes / bytes_per_item.max(1));
        if self.tile_items == 0 {
            return Err(self.too_large(bytes_per_item, room, what));
        }
        Ok(())
    }

    /// Returns the error for an array of `bytes` bytes, which has no room.
    fn too_large(&self, bytes: u64, room: Room, what: &'static str) -> PlanError {
        let needs = bytes + room.overhead;
        let limits = [
            ("max_storage_buffer_binding_size", self.max_binding),
            ("max_buffer_size", self.max_buffer),
        ];
        match limits.into_iter().find(|(_, has)| needs > *has) {
            Some((limit, has)) => PlanError::Limit {
                limit,
                has,
                needs,
                what,
            },
            None => PlanError::Array {
                what,
                max: room.max.saturating_sub(room.overhead),
            },
        }
    }

    /// Returns the bytes of one frame of one item in the input.
    fn input_row_bytes(&self) -> u64 {
        self.shape.classes as u64 * self.shape.element.bytes() as u64
    }

    /// Returns the bytes of an item in an array with one word per label.
    fn label_bytes(&self) -> u64 {
        self.label_capacity * WORD
    }

    fn first_of_class_bytes(&self) -> u64 {
        self.shape.classes as u64 * WORD
    }

    /// Returns true if the array `first_of_class` also has room for the first labels of the tile.
    pub(super) fn has_room_for_first_labels(&self) -> bool {
        let bytes = self.first_of_class_bytes() + self.label_bytes();
        self.tile_items * bytes <= self.workspace_room().bytes
    }

    /// Returns the bytes of one row of the carry: the states of one item in all directions.
    fn carry_row_bytes(&self) -> u64 {
        self.task.directions() * STATE_VECTORS * VECTOR * self.quads
    }

    /// Returns the bytes of the carry: its rows, then the references of the outward sweep, which
    /// take at most a vector for each direction and item.
    fn carry_bytes(&self) -> u64 {
        let references = match self.task {
            Task::LossAndGrad => self.task.directions() * VECTOR,
            _ => 0,
        };
        (self.carry_rows() * self.carry_row_bytes() + references) * self.tile_items
    }

    /// Returns the words of a caller's array that a binding can hold, at any offset.
    pub(super) fn binding_words(&self) -> u64 {
        self.caller_room().bytes / WORD
    }

    pub(super) fn segments(&self) -> u64 {
        self.steps.div_ceil(self.segment_steps)
    }

    /// Returns true if the states of only one segment are stored at a time, and are recomputed from
    /// the segment's checkpoint.
    pub(super) fn checkpointed(&self) -> bool {
        self.task != Task::Loss && self.segments() > 1
    }

    /// Returns the first spill row of the carry.
    pub(super) fn spill_row(&self) -> u64 {
        1 + if self.checkpointed() {
            self.segments()
        } else {
            0
        }
    }

    /// Returns the number of rows of the carry per direction and item.
    fn carry_rows(&self) -> u64 {
        self.spill_row() + self.spill_rows
    }

    /// Returns the arrays of the workspace. A binding must not be empty, so each array has at least
    /// the size of one element of `items`. `first_labels` is true if `first_of_class` has the first
    /// labels too.
    pub(super) fn workspace(&self, first_labels: bool) -> Vec<WorkspaceArray> {
        let [items, frames] = [self.shape.items, self.shape.frames].map(|n| n as u64);
        let starts = match self.shape.label_layout {
            LabelLayout::Padded => 0,
            LabelLayout::Concatenated => items,
        };
        let tile_items = self.tile_items;
        let blocks = self.segment_steps.div_ceil(self.stored_steps());
        let blocks = blocks * self.task.directions() * tile_items;
        let if_grad = |bytes| match self.task {
            Task::LossAndGrad => bytes,
            _ => 0,
        };
        let lattice = if_grad(blocks * LATTICE_VECTORS * VECTOR * self.quads);
        let next_label = if_grad(tile_items * self.label_bytes());
        let listed = if first_labels { self.label_bytes() } else { 0 };
        let first_of_class = if_grad(tile_items * (self.first_of_class_bytes() + listed));
        let array = |array, bytes: u64| WorkspaceArray {
            array,
            bytes: bytes.max(ITEM),
        };
        let mut arrays = vec![
            array(ArrayId::Totals, (TOTALS_WORDS + starts) * WORD),
            array(ArrayId::Items, tile_items * ITEM),
            array(ArrayId::ItemStatus, tile_items * WORD),
            array(ArrayId::FinalStatus, tile_items * WORD),
            array(ArrayId::LabelTable, tile_items * self.label_bytes()),
            array(ArrayId::NextLabel, next_label),
            array(ArrayId::FirstOfClass, first_of_class),
            array(ArrayId::RowStats, frames * tile_items * PAIR),
            array(ArrayId::Carry, self.carry_bytes()),
            array(ArrayId::Gathered, self.gathered_bytes()),
            array(ArrayId::Lattice, lattice),
        ];
        if self.task == Task::Align {
            arrays.push(array(ArrayId::Backpointers, blocks * VECTOR * self.quads));
            arrays.push(array(ArrayId::States, tile_items * frames * WORD));
            arrays.push(array(ArrayId::BacktraceStates, tile_items * WORD));
        }
        arrays
    }

    /// Returns the range of items `first..first + count` in an array with `stride` words per item,
    /// and the index of their first word in the range.
    pub(super) fn items_range(&self, first: u64, count: u64, stride: u64) -> (BindingRange, u64) {
        self.range(first * stride, count * stride, WORD)
    }

    /// Returns the range of frames `frame..frame + frames` of items `first..first + count` in the
    /// input, and the index of their first element in the range.
    pub(super) fn input_range(
        &self,
        first: u64,
        count: u64,
        frame: u64,
        frames: u64,
    ) -> (BindingRange, u64) {
        let classes = self.shape.classes as u64;
        let (row, rows) = match self.shape.layout {
            // A tile of several items has all of its frames in one input slice, so these rows are
            // contiguous.
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
        self.range(row * classes, rows * classes, element)
    }

    /// Returns the range of `count` elements from element `first` on, in whole words and from an
    /// aligned offset, and the index of their first element in the range. `element` is the size of
    /// an element in bytes.
    fn range(&self, first: u64, count: u64, element: u64) -> (BindingRange, u64) {
        let offset = first * element / self.alignment * self.alignment;
        let base = first - offset / element;
        let bytes = ((base + count) * element).max(WORD);
        let range = BindingRange::Part {
            offset,
            bytes: bytes.next_multiple_of(WORD),
        };
        (range, base)
    }
}

/// Returns the maximum number of labels of an item in the workspace.
pub(super) fn label_capacity(shape: &BatchShape) -> u64 {
    (shape.frames as u64).min(shape.max_labels as u64)
}

/// Returns the number of quads of an item with the maximum number of labels: it has one state pair
/// per label, and one for the final blank.
pub(super) fn quads(shape: &BatchShape) -> u64 {
    label_capacity(shape) / 4 + 1
}
