//! Builds a plan: splits the batch, then adds the dispatches of each stage in order.

use super::check::check;
use super::sweep::fits_in_registers;
use super::tiling::{self, Tiling};
use super::{BindingRange, Plan, PlannedDispatch, Task};
use crate::batch::{BatchShape, LabelLayout, Layout};
use crate::error::PlanError;
use crate::kernels::{self, ArrayId, Kernel};
use crate::limits::DeviceLimits;
use crate::options::{Input, Options, Reduction, RepeatedOutputs};
use crate::params::Params;

/// The maximum number of dispatches of a plan, each of which has a bind group and a uniform of its
/// own. Planning this many takes milliseconds.
pub(super) const MAX_DISPATCHES: usize = 1 << 16;

pub(super) fn plan(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
) -> Result<Plan, PlanError> {
    check(shape, options, task, limits)?;
    let unlabelled;
    let shape = if task == Task::Greedy {
        unlabelled = BatchShape {
            max_labels: 0,
            label_layout: LabelLayout::Padded,
            ..*shape
        };
        &unlabelled
    } else {
        shape
    };
    let lanes = 1 << limits.max_invocations.min(256).ilog2();
    let spill = task.has_states() && !fits_in_registers(tiling::quads(shape), limits, lanes);
    let items = shape.items as u64;
    let mut max_tile_items = items;
    let (mut builder, mut in_place, before_tiles) = loop {
        let mut builder = Builder {
            shape,
            options,
            task,
            tiling: Tiling::new(shape, task, limits, spill, max_tile_items)?,
            lanes: word(lanes),
            limits,
            row_gradient: false,
            dispatches: Vec::new(),
        };
        builder.batch_totals()?;
        let before_tiles = builder.dispatches.len();
        let mut in_place = None;
        if builder.has_row_gradient() {
            in_place = Some(builder.clone());
            builder.row_gradient = true;
        }
        let mut fewer = None;
        for builder in std::iter::once(&mut builder).chain(&mut in_place) {
            if items > 0 {
                builder.tile_from(0)?;
            }
            fewer = fewer.or(builder.fewer_items(before_tiles));
        }
        match fewer {
            Some(fewer) => max_tile_items = fewer,
            None => break (builder, in_place, before_tiles),
        }
    };
    let tiling = builder.tiling;
    // Each tile has at most as many dispatches as the first.
    let of_both = std::iter::once(&builder).chain(&in_place);
    let most = of_both.map(|builder| builder.dispatches.len()).max();
    let per_tile = most.unwrap_or(0) - before_tiles;
    let tiles = (MAX_DISPATCHES - before_tiles) / per_tile.max(1);
    let max_items = tiling.tile_items.saturating_mul(tiles as u64);
    if items > max_items {
        return Err(PlanError::Dispatches {
            items: shape.items,
            max_items: usize_of(max_items),
        });
    }
    for builder in std::iter::once(&mut builder).chain(&mut in_place) {
        for first in (tiling.tile_items..items).step_by(usize_of(tiling.tile_items)) {
            builder.tile_from(first)?;
        }
    }
    if items == 0 && options.reduction != Reduction::None && task.is_loss() {
        builder.reduce(Tile { first: 0, count: 0 })?;
    }
    Ok(Plan {
        shape: *shape,
        options: *options,
        task,
        workspace: tiling.workspace(builder.row_gradient),
        batch_tiles: shape.items.div_ceil(usize_of(tiling.tile_items)),
        segments: usize_of(tiling.segments()),
        input_slices: usize_of((shape.frames as u64).div_ceil(tiling.slice_frames.max(1))),
        input_vectors: builder.input_vectors(),
        dispatches: builder.dispatches,
        in_place: in_place.map(|builder| builder.dispatches),
    })
}

/// The phases of the recursions over frames: alpha from the first frame, beta from the last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// From the ends of an item to the middle frame; for alignment, from the first frame to the
    /// last.
    Inward,
    /// The inward recursion again, through one segment, to store its states.
    Recompute,
    /// From the middle frame on to the other end.
    Outward,
}

/// A batch tile: items that use the workspace at the same time.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) first: u64,
    pub(super) count: u64,
}

/// A checkpoint segment: steps whose states the workspace holds at the same time.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) index: u64,
    pub(super) first: u64,
    pub(super) end: u64,
}

/// The dispatches added so far, and the inputs of planning.
#[derive(Clone)]
pub(super) struct Builder<'a> {
    pub(super) shape: &'a BatchShape,
    pub(super) options: &'a Options,
    pub(super) task: Task,
    pub(super) tiling: Tiling,
    /// The number of lanes of the largest workgroups.
    pub(super) lanes: u32,
    pub(super) limits: &'a DeviceLimits,
    /// True if `softmax_stats` writes the gradient of classes without labels, and `grad` only that
    /// of the others (see [`has_row_gradient`](Self::has_row_gradient)).
    pub(super) row_gradient: bool,
    pub(super) dispatches: Vec<PlannedDispatch>,
}

impl Builder<'_> {
    /// Adds the dispatches of the tile that begins with item `first`.
    fn tile_from(&mut self, first: u64) -> Result<(), PlanError> {
        let count = self.tiling.tile_items.min(self.shape.items as u64 - first);
        let tile = Tile { first, count };
        match self.task {
            Task::Loss | Task::LossAndGrad => self.loss(tile),
            Task::Align => self.alignment(tile),
            Task::Greedy => self.greedy(tile),
        }
    }

    fn loss(&mut self, tile: Tile) -> Result<(), PlanError> {
        self.check_labels(tile)?;
        self.sweep_inward(tile)?;
        // It runs at the same time as the inward sweep, since neither reads what the other writes.
        self.label_links(tile)?;
        // `join` runs at the same time as the outward sweep if that does not overwrite the carry.
        // It follows the sweep, since the barrier before the sweep would also wait for `join`. From
        // the second tile on wgpu separates the two, since `grad` has used an array of `join`.
        let at_once = self.task == Task::LossAndGrad && self.outward_only_reads_carry(tile);
        if !at_once {
            self.join_and_reduce(tile)?;
        }
        if self.task == Task::Loss {
            return Ok(());
        }
        for index in (0..self.tiling.segments()).rev() {
            let segment = self.segment(index);
            self.recompute(tile, segment)?;
            self.sweep(tile, segment, Phase::Outward)?;
            if at_once {
                self.join_and_reduce(tile)?;
            }
            self.row_stage(tile, segment, &kernels::GRAD)?;
        }
        Ok(())
    }

    fn join_and_reduce(&mut self, tile: Tile) -> Result<(), PlanError> {
        self.join(tile)?;
        if self.options.reduction != Reduction::None {
            self.reduce(tile)?;
        }
        Ok(())
    }

    /// Adds the row statistics and the inward recursion over all segments.
    pub(super) fn sweep_inward(&mut self, tile: Tile) -> Result<(), PlanError> {
        if !self.tiling.gathered {
            self.row_stage(tile, self.all_steps(), &kernels::SOFTMAX_STATS)?;
        }
        for index in 0..self.tiling.segments() {
            let segment = self.segment(index);
            if self.tiling.gathered {
                self.row_stage(tile, segment, &kernels::SOFTMAX_STATS)?;
            }
            self.sweep(tile, segment, Phase::Inward)?;
        }
        Ok(())
    }

    /// Adds the dispatches that compute the states of a segment again and store them, if the inward
    /// recursion stored only checkpoints.
    pub(super) fn recompute(&mut self, tile: Tile, segment: Segment) -> Result<(), PlanError> {
        if !self.tiling.checkpointed() {
            return Ok(());
        }
        if self.tiling.gathered {
            self.row_stage(tile, segment, &kernels::SOFTMAX_STATS)?;
        }
        self.sweep(tile, segment, Phase::Recompute)
    }

    pub(super) fn segment(&self, index: u64) -> Segment {
        let first = index * self.tiling.segment_steps;
        let end = (first + self.tiling.segment_steps).min(self.tiling.steps);
        Segment { index, first, end }
    }

    /// Returns a segment of all steps, for the stages that run once for all segments.
    pub(super) fn all_steps(&self) -> Segment {
        Segment {
            index: 0,
            first: 0,
            end: self.tiling.steps,
        }
    }

    /// Adds a dispatch.
    ///
    /// # Errors
    /// If its grid exceeds the device's limit, or if the plan has too many dispatches.
    pub(super) fn push(&mut self, dispatch: PlannedDispatch) -> Result<(), PlanError> {
        if self.dispatches.len() == MAX_DISPATCHES {
            return Err(PlanError::Dispatches {
                items: self.shape.items,
                // Fewer items also help if a single tile has too many dispatches: in a time-major
                // batch, an input slice then holds more frames.
                max_items: self.shape.items / 2,
            });
        }
        let widest = dispatch.grid.into_iter().max().unwrap_or(0);
        if widest > self.limits.max_workgroups {
            return Err(PlanError::Limit {
                limit: "max_compute_workgroups_per_dimension",
                has: self.limits.max_workgroups.into(),
                needs: widest.into(),
                what: dispatch.label,
            });
        }
        self.dispatches.push(dispatch);
        Ok(())
    }

    pub(super) fn params(&self) -> Params {
        let epsilon = match self.options.input {
            Input::Probs { epsilon } => epsilon,
            _ => 0.0,
        };
        Params {
            frames: word(self.shape.frames as u64),
            classes: word(self.shape.classes as u64),
            blank: word(self.options.blank.index(self.shape.classes) as u64),
            epsilon,
            items: word(self.shape.items as u64),
            label_stride: word(self.shape.max_labels as u64),
            label_capacity: word(self.tiling.label_capacity),
            quads: word(self.tiling.quads),
            spill_row: word(self.tiling.spill_row()),
            ..Params::default()
        }
    }

    pub(super) fn tile_params(&self, tile: Tile) -> Params {
        Params {
            tile_items: word(tile.count),
            first_item: word(tile.first),
            ..self.params()
        }
    }

    pub(super) fn segment_params(&self, tile: Tile, segment: Segment) -> Params {
        Params {
            segment_begin: word(segment.first),
            segment_end: word(segment.end),
            ..self.tile_params(tile)
        }
    }

    /// Returns the range of the input that holds frames `frame..frame + count` of the tile, and the
    /// parameters that locate them in it.
    pub(super) fn row_params(
        &self,
        tile: Tile,
        segment: Segment,
        frame: u64,
        count: u64,
    ) -> (BindingRange, Params) {
        let (range, base) = self
            .tiling
            .input_range(tile.first, tile.count, frame, count);
        let (item_rows, frame_rows) = match self.shape.layout {
            Layout::BatchMajor => (self.shape.frames as u64, 1),
            Layout::TimeMajor => (1, self.shape.items as u64),
        };
        let params = Params {
            first_frame: word(frame),
            slice_frames: word(count),
            input_base: word(base),
            item_rows: word(item_rows),
            frame_rows: word(frame_rows),
            ..self.segment_params(tile, segment)
        };
        (range, params)
    }

    /// Returns the range of each binding of `kernel`: the whole array if it belongs to the
    /// workspace, and `external(array)` if it is the caller's.
    pub(super) fn binding_ranges(
        &self,
        kernel: &Kernel,
        external: impl Fn(ArrayId) -> BindingRange,
    ) -> Vec<BindingRange> {
        let range = |&(array, _): &(ArrayId, _)| {
            if array.is_external() {
                external(array)
            } else {
                BindingRange::Workspace
            }
        };
        kernel.bindings.iter().map(range).collect()
    }

    /// Returns a grid of at least `workgroups` workgroups per z, which continues in y if they
    /// exceed the limit of x.
    pub(super) fn linear_grid(&self, workgroups: u64, z: u32) -> [u32; 3] {
        let x = workgroups.min(self.limits.max_workgroups.into()).max(1);
        [word(x), word(workgroups.div_ceil(x)).max(1), z]
    }

    pub(super) fn input_kind(&self) -> u32 {
        match self.options.input {
            Input::Logits => 0,
            Input::LogProbs => 1,
            Input::LogProbsExact => 2,
            Input::Probs { .. } => 3,
        }
    }

    pub(super) fn distinct(&self) -> u32 {
        (self.options.repeated_outputs == RepeatedOutputs::Distinct).into()
    }
}

/// Returns the number of lanes that share `frames` rows of `classes`, a power of two and at most
/// `max_lanes`. A lane has about four entries, but if lanes hold a row (`softmax_stats`), more than
/// 32 of them share it only if fewer cannot hold it: what lanes do once per row, not per entry, and
/// the exchange between subgroups take most of the time of a short row.
///
/// For a software driver, it is 8 unless a row is very long: the lanes of one vector, which never
/// wait for each other. The result depends on C but on no other size of the batch, because the
/// order in which the entries of a row are summed must not depend on the other items.
pub(super) fn row_lanes(
    frames: u64,
    classes: u64,
    held: bool,
    max_lanes: u64,
    limits: &DeviceLimits,
) -> u64 {
    let max_lanes = if limits.software && classes < LONG_ROW_ON_CPU {
        8
    } else {
        max_lanes
    };
    let wanted = frames * classes / 4;
    let wanted = if held {
        wanted.min(32).max(classes.div_ceil(4 * MAX_HELD_VECTORS))
    } else {
        wanted
    };
    wanted
        .clamp(8, max_lanes)
        .next_power_of_two()
        .min(max_lanes)
}

/// The maximum number of vectors of four entries that a lane holds in registers. Must match
/// `HeldRow` in `shaders/shared/held_row.wgsl`.
pub(super) const MAX_HELD_VECTORS: u64 = 12;

/// From this number of classes on, the lanes of one vector would take too many loop iterations.
const LONG_ROW_ON_CPU: u64 = 1 << 18;

/// Converts a number that the tiling keeps below 2^31.
pub(super) fn word(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
