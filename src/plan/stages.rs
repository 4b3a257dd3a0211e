//! The dispatches of each stage of the loss and gradient, in the order of the stages.

use super::build::{Builder, MAX_HELD_VECTORS, Segment, Tile, row_lanes, usize_of, word};
use super::tiling::Tiling;
use super::{BindingRange, Iterations, PlannedDispatch};
use crate::batch::LabelLayout;
use crate::error::PlanError;
use crate::kernels::{self, Kernel, SweepForm};
use crate::options::{BlankInLabels, Impossible, Input, Reduction, RepeatedLabels};
use crate::params::Params;
use crate::plan::Task;

/// The maximum number of items per dispatch of `batch_totals`. With 32 lanes, the fewest, the
/// kernel takes 8 loop iterations per 32 items.
const TOTALS_ITEMS: u64 = 1 << 17;

/// The maximum number of labels that `label_links` sorts at once. Must match `CHUNK` in
/// `shaders/label_links.wgsl`.
const CHUNK: u64 = 512;

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
                sweep: SweepForm::QUADS,
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
            sweep: SweepForm::QUADS,
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
        // On a software driver, the lanes of one vector are faster, because none waits for another
        // at a barrier, but more of them are needed to keep their loops below the limit.
        let max_lanes = u64::from(self.lanes);
        let lanes = if self.limits.software {
            (capacity / CHUNK).next_power_of_two().clamp(8, max_lanes)
        } else {
            max_lanes
        };
        let first_labels = if self.row_gradient {
            capacity.div_ceil(lanes) + 1
        } else {
            0
        };
        let link = link_iterations(capacity, lanes) + first_labels;
        let dispatches = if classes.div_ceil(lanes) + 1 + link <= Iterations::MAX.into() {
            vec![(1, [1, 1], classes.div_ceil(lanes) + 1 + link)]
        } else {
            let max_workgroups = u64::from(self.limits.max_workgroups);
            let clear = classes.div_ceil(lanes).min(max_workgroups);
            vec![
                (clear, [1, 0], classes.div_ceil(clear * lanes) + 1),
                (1, [0, 1], link),
            ]
        };
        let [y, z, _] = self.linear_grid(tile.count, 1);
        for (x, [clear, link], iterations) in dispatches {
            self.push(PlannedDispatch {
                kernel: &kernels::LABEL_LINKS,
                label: "label_links",
                subgroups: false,
                sweep: SweepForm::QUADS,
                constants: vec![
                    ("LANES", word(lanes)),
                    ("CLEAR", clear),
                    ("LINK", link),
                    ("FIRST_LABELS", self.row_gradient.into()),
                ],
                params: self.tile_params(tile),
                grid: [word(x), y, z],
                ranges: vec![BindingRange::Workspace; 4],
                iterations: Iterations::bounded(iterations, "labels min(Lmax, T)", capacity)?,
            })?;
        }
        Ok(())
    }

    /// Adds a stage over the rows of the input, `softmax_stats` or `grad`: one dispatch per input
    /// slice, or several if that would take too long. A row has the classes of one frame.
    pub(super) fn row_stage(
        &mut self,
        tile: Tile,
        segment: Segment,
        kernel: &'static Kernel,
    ) -> Result<(), PlanError> {
        let frames = self.shape.frames as u64;
        let classes = self.shape.classes as u64;
        // `grad` computes four frames of an item with the same lanes, because they need the same
        // label links.
        let (shared_frames, held) = if kernel == &kernels::GRAD {
            (4, false)
        } else {
            (1, true)
        };
        let max_lanes = self.lanes.into();
        let mut lanes = row_lanes(shared_frames, classes, held, max_lanes, self.limits);
        let of_labels = self.row_gradient && kernel == &kernels::GRAD;
        if of_labels {
            // A lane per label. This does not change the order of a sum: each quad has a lane of
            // its own, or there are as many lanes as without.
            lanes = lanes.min((self.tiling.label_capacity + 1).next_power_of_two().max(8));
        }
        let iterations = self.row_iterations(kernel, lanes)?;
        let slice_frames = self.timed_frames(tile, segment, kernel, lanes, iterations);
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
                constants.push(("WRITE_GATHERED", self.tiling.gather()));
                constants.push(("ROW_VECTORS", word(self.held_vectors(lanes))));
                constants.push(("WRITE_GRADIENT", self.row_gradient.into()));
            } else {
                constants.push(("OF_LABELS", of_labels.into()));
            }
            let row_groups = tile.count * count.div_ceil(shared_frames);
            self.push(PlannedDispatch {
                kernel,
                label: kernel.name,
                subgroups,
                sweep: SweepForm::QUADS,
                constants,
                params,
                grid: self.linear_grid(row_groups.div_ceil(rows), 1),
                ranges: self.binding_ranges(kernel, |_| input),
                iterations,
            })?;
        }
        Ok(())
    }

    /// Returns true if `softmax_stats` reads vectors of four entries of the input. Every row then
    /// has whole vectors, each of which is at an aligned offset. The result must not depend on the
    /// batch, since it changes the order of a row's sum. A software driver reads the entries of a
    /// vector one by one, so that entries apart, which neighbouring lanes read, are faster.
    pub(super) fn input_vectors(&self) -> bool {
        let bytes = 4 * self.shape.element.bytes() as u64;
        let aligned = u64::from(self.limits.offset_alignment) >= bytes;
        aligned && self.shape.classes.is_multiple_of(4) && !self.limits.software
    }

    /// Returns the number of vectors of four classes that each lane of `softmax_stats` holds in
    /// registers, or 0 if a row is too long. A software driver has registers for one.
    fn held_vectors(&self, lanes: u64) -> u64 {
        let vectors = (self.shape.classes as u64).div_ceil(4 * lanes);
        let most = if self.limits.software {
            1
        } else {
            MAX_HELD_VECTORS
        };
        if vectors <= most { vectors } else { 0 }
    }

    /// Returns true if `softmax_stats` writes the gradient of classes without labels, unless the
    /// gradient overwrites the input. `grad` then need not read the input again, but only the
    /// sectors of memory, of 32 bytes, that hold a label's class or the blank. It reads and writes
    /// them, so this is worthwhile if they are less than half of all sectors: if a row has two or
    /// more for each label. `softmax_stats` must hold the rows, and see each once. A software
    /// driver has no registers for that.
    pub(super) fn has_row_gradient(&self) -> bool {
        let tiling = &self.tiling;
        let lanes = row_lanes(
            1,
            self.shape.classes as u64,
            true,
            self.lanes.into(),
            self.limits,
        );
        let row_bytes = self.shape.classes as u64 * self.shape.element.bytes() as u64;
        self.task == Task::LossAndGrad
            && self.options.input == Input::Logits
            && !self.limits.software
            && !tiling.gathered
            && tiling.segments() == 1
            && self.held_vectors(lanes) > 0
            && row_bytes >= 64 * (tiling.label_capacity + 1)
            && tiling.has_room_for_first_labels()
    }

    /// Returns the loop iterations of a lane of `softmax_stats` or `grad`.
    fn row_iterations(&self, kernel: &Kernel, lanes: u64) -> Result<Iterations, PlanError> {
        let classes = self.shape.classes as u64;
        let Tiling {
            label_capacity,
            quads,
            ..
        } = self.tiling;
        let columns = self.tiling.gathered_columns();
        let of_row = classes.div_ceil(lanes) + 8;
        let folds = 2 * u64::from(lanes.ilog2());
        let of_labels = if kernel == &kernels::GRAD {
            // A loop over the quads, and one over the labels of a class, which may be all labels of
            // the item.
            quads.div_ceil(lanes) + label_capacity
        } else {
            columns.div_ceil(lanes)
        };
        let (axis, value) = if of_labels > of_row {
            ("labels min(Lmax, T)", label_capacity)
        } else {
            ("classes C", classes)
        };
        Iterations::bounded(of_row + folds + of_labels, axis, value)
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
            sweep: SweepForm::QUADS,
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
            sweep: SweepForm::QUADS,
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

/// Returns the loop iterations of a lane of `label_links` that links `labels` labels.
fn link_iterations(labels: u64, lanes: u64) -> u64 {
    let chunk = labels.min(CHUNK);
    let of_lane = chunk.div_ceil(lanes);
    let levels = u64::from(chunk.next_power_of_two().ilog2());
    // At level l, each key is searched for in a run of 2^l keys. The checks that end a loop count,
    // too: l + 1 steps and a check.
    let searches = of_lane * levels * (levels + 3) / 2;
    // Loops over the keys: three, and one per level.
    let of_chunk = (levels + 3) * (of_lane + 1) + levels + 1 + searches;
    labels.div_ceil(CHUNK) * (1 + of_chunk) + 1
}
