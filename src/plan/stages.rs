//! The dispatches of each stage of the loss and gradient, in the order of the stages.

use super::build::{Builder, Phase, Segment, Tile, row_lanes, usize_of, word};
use super::tiling::{BLOCK, Tiling};
use super::{BindingRange, Iterations, PlannedDispatch};
use crate::batch::LabelLayout;
use crate::error::PlanError;
use crate::kernels::{self, Kernel};
use crate::options::{BlankInLabels, Impossible, Reduction, RepeatedLabels};
use crate::params::Params;
use crate::plan::Task;

/// The maximum number of items per dispatch of `batch_totals`. With 32 lanes, the fewest, the
/// kernel takes 8 loop iterations per 32 items.
const TOTALS_ITEMS: u64 = 1 << 17;

impl Builder<'_> {
    pub(super) fn batch_totals(&mut self) -> Result<(), PlanError> {
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let over_batch = self.task.is_loss()
            && matches!(
                self.options.reduction,
                Reduction::MeanVolume | Reduction::MeanWeighted
            );
        if !concatenated && !over_batch {
            return Ok(());
        }
        let items = self.shape.items as u64;
        let max_items = TOTALS_ITEMS.min(self.tiling.binding_words());
        for first in (0..items).step_by(usize_of(max_items)) {
            let count = max_items.min(items - first);
            let (range, base) = self.tiling.items_range(first, count, 1);
            let params = Params {
                tile_items: word(count),
                item_base: word(base),
                first_item: word(first),
                first_dispatch: u32::from(first == 0),
                ..self.params()
            };
            let lanes = self.lanes;
            let fold = u64::from(lanes.ilog2());
            let iterations = count.div_ceil(lanes.into()) * (3 + fold) + fold + 2;
            self.push(PlannedDispatch {
                kernel: &kernels::BATCH_TOTALS,
                label: "batch_totals",
                subgroups: false,
                constants: vec![("LANES", lanes), ("CONCATENATED", concatenated.into())],
                params,
                grid: [1, 1, 1],
                ranges: vec![range, range, BindingRange::Workspace],
                iterations: Iterations::bounded(iterations, "items N", items)?,
            })?;
        }
        Ok(())
    }

    pub(super) fn check_labels(&mut self, tile: Tile) -> Result<(), PlanError> {
        let options = self.options;
        let lanes = 64.min(self.lanes);
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let stride = self.shape.max_labels as u64;
        let (items, item_base) = self.tiling.items_range(tile.first, tile.count, 1);
        let (labels, label_base) = if concatenated {
            (BindingRange::ToEnd, 0)
        } else {
            self.tiling.items_range(tile.first, tile.count, stride)
        };
        let params = Params {
            item_base: word(item_base),
            label_base: word(label_base),
            ..self.tile_params(tile)
        };
        let scan = if collapse {
            u64::from(lanes.ilog2()) + 1
        } else {
            0
        };
        let iterations = stride.div_ceil(lanes.into()) * (1 + scan) + 1;
        let reduction = match options.reduction {
            _ if !self.task.is_loss() => 1,
            Reduction::None | Reduction::Sum => 1,
            Reduction::MeanBatch => 2,
            Reduction::MeanLabel => 3,
            Reduction::MeanVolume => 4,
            Reduction::MeanWeighted => 5,
        };
        self.push(PlannedDispatch {
            kernel: &kernels::CHECK_LABELS,
            label: "check_labels",
            subgroups: false,
            constants: vec![
                ("LANES", lanes),
                ("CONCATENATED", concatenated.into()),
                (
                    "ALLOW_BLANK",
                    (options.blank_in_labels == BlankInLabels::Allow).into(),
                ),
                ("COLLAPSE", collapse.into()),
                ("DISTINCT", self.distinct()),
                ("ALLOW_STAR", (self.task == Task::Align).into()),
                ("HAS_LABELS", (self.task != Task::Greedy).into()),
                ("REDUCTION", reduction),
            ],
            params,
            grid: self.linear_grid(tile.count, 1),
            ranges: [labels, items, items, items]
                .into_iter()
                .chain([BindingRange::Workspace; 4])
                .collect(),
            iterations: Iterations::bounded(iterations, "max_labels Lmax", stride)?,
        })?;
        Ok(())
    }

    pub(super) fn label_links(&mut self, tile: Tile) -> Result<(), PlanError> {
        if self.task == Task::Loss {
            return Ok(());
        }
        let capacity = self.tiling.label_capacity;
        let classes = self.shape.classes as u64;
        let lanes = u64::from(64.min(self.lanes));
        // To find equal labels, the lane of a label may search all other labels.
        let iterations = |clear: u64, link: u64| clear.div_ceil(lanes) + link * (capacity + 2) + 2;
        let strides = capacity.div_ceil(lanes);
        let single_dispatch_iterations = iterations(classes, strides);
        let dispatches = if single_dispatch_iterations <= u64::from(Iterations::MAX) {
            vec![(1, [1, 1], single_dispatch_iterations)]
        } else {
            let max_workgroups = u64::from(self.limits.max_workgroups);
            let clear = classes.div_ceil(lanes).min(max_workgroups);
            vec![
                (clear, [1, 0], iterations(classes.div_ceil(clear), 0)),
                (strides, [0, 1], iterations(0, 1)),
            ]
        };
        let [y, z, _] = self.linear_grid(tile.count, 1);
        for (x, [clear, link], iterations) in dispatches {
            self.push(PlannedDispatch {
                kernel: &kernels::LABEL_LINKS,
                label: "label_links",
                subgroups: false,
                constants: vec![("LANES", word(lanes)), ("CLEAR", clear), ("LINK", link)],
                params: self.tile_params(tile),
                grid: [word(x), y, z],
                ranges: vec![BindingRange::Workspace; 3],
                iterations: Iterations::bounded(iterations, "labels min(Lmax, T)", capacity)?,
            })?;
        }
        Ok(())
    }

    /// Adds a stage over the rows of the input, `softmax_stats` or `grad`: one dispatch per input
    /// slice. A row has the classes of one frame.
    pub(super) fn row_stage(
        &mut self,
        tile: Tile,
        segment: Segment,
        kernel: &'static Kernel,
    ) -> Result<(), PlanError> {
        let slice_frames = self.tiling.slice_frames;
        let frames = self.shape.frames as u64;
        let classes = self.shape.classes as u64;
        // `grad` computes four frames of an item with the same lanes, because they need the same
        // label links.
        let shared_frames = if kernel == &kernels::GRAD { 4 } else { 1 };
        let lanes = row_lanes(shared_frames, classes, self.lanes.into(), self.limits);
        let iterations = self.row_iterations(kernel, lanes)?;
        // On a software driver, workgroups of one vector are faster, because no lane waits for
        // another at a barrier. More of them are needed, which may exceed the limit of the grid.
        let grid_fits = tile.count * slice_frames <= self.limits.max_workgroups.into();
        let workgroup_lanes = if self.limits.software && grid_fits {
            lanes
        } else {
            128
        };
        let rows = (workgroup_lanes.min(self.lanes.into()) / lanes).max(1);
        // A subgroup must be full. The subgroups of a row exchange their results by one more
        // operation of subgroups, so there may be as many of them as a subgroup has lanes.
        let subgroup = u64::from(self.limits.subgroup_size);
        let subgroups = subgroup > 0 && subgroup <= rows * lanes && lanes <= subgroup * subgroup;
        for frame in (0..frames).step_by(usize_of(slice_frames.max(1))) {
            let count = slice_frames.min(frames - frame);
            let (input, params) = self.row_params(tile, segment, frame, count);
            let mut constants = vec![
                ("LANES", word(lanes)),
                ("ROWS", word(rows)),
                ("INPUT", self.input_kind()),
            ];
            if subgroups {
                constants.push(("SUBGROUP", self.limits.subgroup_size));
            }
            if kernel == &kernels::SOFTMAX_STATS {
                constants.push(("DIRECTIONS", word(self.task.directions())));
                constants.push(("GREEDY", (self.task == Task::Greedy).into()));
                constants.push(("WRITE_GATHERED", self.tiling.gathered.into()));
                constants.push(("ROW_VECTORS", word(self.held_vectors(lanes))));
            }
            let row_groups = tile.count * count.div_ceil(shared_frames);
            self.push(PlannedDispatch {
                kernel,
                label: kernel.name,
                subgroups,
                constants,
                params,
                grid: self.linear_grid(row_groups.div_ceil(rows), 1),
                ranges: self.binding_ranges(kernel, |_| input),
                iterations,
            })?;
        }
        Ok(())
    }

    /// Returns the number of vectors of four classes that each lane of `softmax_stats` holds in
    /// registers, or 0 if a row is too long. A software driver has registers for one.
    fn held_vectors(&self, lanes: u64) -> u64 {
        let vectors = (self.shape.classes as u64).div_ceil(4 * lanes);
        let most = if self.limits.software { 1 } else { 8 };
        if vectors <= most { vectors } else { 0 }
    }

    /// Returns the loop iterations of a lane of `softmax_stats` or `grad`.
    fn row_iterations(&self, kernel: &Kernel, lanes: u64) -> Result<Iterations, PlanError> {
        let classes = self.shape.classes as u64;
        let Tiling {
            label_capacity,
            quads,
            gathered,
            ..
        } = self.tiling;
        let of_row = classes.div_ceil(lanes) + 8;
        let folds = 2 * u64::from(lanes.ilog2());
        let of_labels = if kernel == &kernels::GRAD {
            // A loop over the quads, and one over the labels of a class, which may be all labels of
            // the item.
            quads.div_ceil(lanes) + label_capacity
        } else if gathered {
            label_capacity / lanes + 1
        } else {
            0
        };
        let (axis, value) = if of_labels > of_row {
            ("labels min(Lmax, T)", label_capacity)
        } else {
            ("classes C", classes)
        };
        Iterations::bounded(of_row + folds + of_labels, axis, value)
    }

    /// Adds a recursion through a segment, in one or more dispatches: from its first step to its
    /// last in the inward phases, from its last to its first in the outward phase.
    pub(super) fn sweep(
        &mut self,
        tile: Tile,
        segment: Segment,
        phase: Phase,
    ) -> Result<(), PlanError> {
        let Tiling {
            label_capacity,
            quads,
            spill,
            gathered,
            ..
        } = self.tiling;
        let subgroup = u64::from(self.limits.subgroup_size);
        let subgroups = !spill && quads <= subgroup && subgroup <= u64::from(self.lanes);
        let lanes = match (spill, subgroups) {
            (true, _) => u64::from(self.lanes),
            (false, true) => subgroup,
            (false, false) => sweep_lanes(quads, self.limits.software),
        };
        let aligns = self.task == Task::Align;
        // In each step, a `_long` kernel loops over the quads: once in an alignment; in a sweep of
        // the loss up to three times, because it also copies and recomputes the rows of a block.
        let strides = quads.div_ceil(lanes) + 2;
        let (kernel, per_step, per_dispatch) = match (spill, aligns) {
            (true, true) => (&kernels::VITERBI_LONG, strides, 2 * strides),
            (true, false) => (&kernels::SWEEP_LONG, 3 * strides, 2 * strides),
            (false, true) => (&kernels::VITERBI, 1, 1),
            (false, false) => (&kernels::SWEEP, 1, 1),
        };
        let steps = u64::from(Iterations::MAX).saturating_sub(per_dispatch + 1) / per_step;
        let steps = (steps / BLOCK * BLOCK).max(BLOCK);
        let dispatches = (segment.end - segment.first).div_ceil(steps);
        let checkpointed = self.tiling.checkpointed();
        let checkpoint_row = if checkpointed { 1 + segment.index } else { 0 };
        let (label, carry_row, stores_rows) = match phase {
            Phase::Inward => (
                if aligns { "viterbi" } else { "sweep inward" },
                0,
                self.task != Task::Loss && !checkpointed,
            ),
            Phase::Recompute if aligns => ("viterbi recompute", checkpoint_row, true),
            Phase::Recompute => ("sweep recompute", checkpoint_row, true),
            Phase::Outward => ("sweep outward", 0, true),
        };
        // If entries are gathered, the kernel does not read the input, so only one row of it is
        // bound.
        let (frames, items) = if gathered {
            (1, 1)
        } else {
            (self.shape.frames as u64, tile.count)
        };
        let bound = Tile {
            count: items,
            ..tile
        };
        let (input, params) = self.row_params(bound, segment, 0, frames);
        for turn in 0..dispatches {
            let index = match phase {
                Phase::Outward => dispatches - 1 - turn,
                Phase::Inward | Phase::Recompute => turn,
            };
            let first = segment.first + index * steps;
            let end = (first + steps).min(segment.end);
            let stores_checkpoint = phase == Phase::Inward && first == segment.first;
            let mut constants = vec![
                ("LANES", word(lanes)),
                ("STORE_ROWS", stores_rows.into()),
                ("READ_GATHERED", gathered.into()),
                ("INPUT", self.input_kind()),
                ("DISTINCT", self.distinct()),
            ];
            constants.push(if aligns {
                ("DIRECTIONS", 1)
            } else {
                ("OUTWARD", (phase == Phase::Outward).into())
            });
            self.push(PlannedDispatch {
                kernel,
                label,
                subgroups,
                constants,
                params: Params {
                    tile_items: word(tile.count),
                    first_step: word(first),
                    end_step: word(end),
                    carry_row: word(carry_row),
                    checkpoint_row: word(if stores_checkpoint { checkpoint_row } else { 0 }),
                    ..params
                },
                grid: self.linear_grid(tile.count, word(self.task.directions())),
                ranges: self.binding_ranges(kernel, |_| input),
                iterations: Iterations::bounded(
                    (end - first) * per_step + per_dispatch + 1,
                    "labels min(Lmax, T)",
                    label_capacity,
                )?,
            })?;
        }
        Ok(())
    }

    pub(super) fn join(&mut self, tile: Tile) -> Result<(), PlanError> {
        let quads = self.tiling.quads;
        let frames = self.shape.frames as u64;
        // A constant, because the order of a sum must not depend on the batch's Lmax or T (see
        // `row_lanes`). On a software driver, the lanes of one vector are faster, because none
        // waits for another at a barrier.
        let lanes = if self.limits.software { 8 } else { 64 }.min(self.lanes);
        let (items, base) = self.tiling.items_range(tile.first, tile.count, 1);
        let iterations = quads.div_ceil(lanes.into())
            + frames.div_ceil(4 * u64::from(lanes))
            + u64::from(lanes.ilog2())
            + 3;
        let zero = self.options.impossible == Impossible::Zero;
        self.push(PlannedDispatch {
            kernel: &kernels::JOIN,
            label: "join",
            subgroups: false,
            constants: vec![
                ("LANES", lanes),
                ("ZERO_IMPOSSIBLE", zero.into()),
                ("INPUT", self.input_kind()),
                ("DISTINCT", self.distinct()),
            ],
            params: Params {
                item_base: word(base),
                ..self.tile_params(tile)
            },
            grid: self.linear_grid(tile.count, 1),
            ranges: self.binding_ranges(&kernels::JOIN, |_| items),
            iterations: Iterations::bounded(iterations, "frames T", frames)?,
        })?;
        Ok(())
    }

    pub(super) fn reduce(&mut self, tile: Tile) -> Result<(), PlanError> {
        let (items, base) = self.tiling.items_range(tile.first, tile.count, 1);
        let lanes = self.lanes;
        let iterations = tile.count.div_ceil(lanes.into()) + u64::from(lanes.ilog2()) + 2;
        self.push(PlannedDispatch {
            kernel: &kernels::REDUCE,
            label: "reduce",
            subgroups: false,
            constants: vec![("LANES", lanes)],
            params: Params {
                item_base: word(base),
                first_dispatch: u32::from(tile.first == 0),
                ..self.tile_params(tile)
            },
            grid: [1, 1, 1],
            ranges: vec![
                BindingRange::Workspace,
                items,
                BindingRange::Part {
                    offset: 0,
                    bytes: 4,
                },
            ],
            iterations: Iterations::bounded(iterations, "items N", tile.count)?,
        })?;
        Ok(())
    }
}

/// Returns the lanes of a sweep that exchanges states through workgroup memory: one lane per quad,
/// rounded up so that few pipelines serve all label lengths. Each number of lanes is compiled
/// separately.
///
/// Most GPUs run 32 or 64 lanes at once, so a multiple of 32 costs nothing; short items get 8 or 16
/// lanes, because some GPUs have subgroups of that size. A software driver computes idle lanes too:
/// it gets multiples of 8 up to 64 quads. Beyond that, it gets four sizes per doubling, so that
/// less than a quarter of the lanes is idle.
pub(super) fn sweep_lanes(quads: u64, software: bool) -> u64 {
    let doubled = quads.next_power_of_two();
    let min_multiple = if software { 8 } else { doubled.clamp(8, 32) };
    quads.next_multiple_of(min_multiple.max(doubled / 8))
}
