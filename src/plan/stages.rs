//! The dispatches of each stage, in the order of the pipeline.

use super::build::{Builder, Phase, Segment, Tile, row_lanes, usize_of, word};
use super::tiling::{BLOCK, Tiling};
use super::{Iterations, Span, Step};
use crate::batch::LabelLayout;
use crate::error::PlanError;
use crate::kernels::{self, Kernel};
use crate::options::{BlankInLabels, Impossible, Reduction, RepeatedLabels};
use crate::params::Params;
use crate::plan::Task;

/// Items whose sums one dispatch of `totals` adds up: with 32 lanes, the fewest, 8 rounds for each 32 items.
const TOTALS_WINDOW: u64 = 1 << 17;

impl Builder<'_> {
    pub(super) fn totals(&mut self) -> Result<(), PlanError> {
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
        let window = TOTALS_WINDOW.min(self.tiling.slice_words());
        for first in (0..items).step_by(usize_of(window)) {
            let count = window.min(items - first);
            let (span, base) = self.tiling.items_span(first, count, 1);
            let params = Params {
                tile_items: word(count),
                item_base: word(base),
                first_item: word(first),
                first_dispatch: u32::from(first == 0),
                ..self.params()
            };
            let lanes = self.lanes;
            let fold = u64::from(lanes.ilog2());
            let rounds = count.div_ceil(lanes.into()) * (3 + fold) + fold + 2;
            self.push(Step {
                kernel: &kernels::BATCH_TOTALS,
                label: "batch_totals",
                subgroups: false,
                constants: vec![("LANES", lanes), ("CONCATENATED", concatenated.into())],
                params,
                grid: [1, 1, 1],
                spans: vec![span, span, Span::Table],
                iterations: Iterations::bounded(rounds, "items N", items)?,
            })?;
        }
        Ok(())
    }

    pub(super) fn labels(&mut self, group: Tile) -> Result<(), PlanError> {
        let options = self.options;
        let lanes = 64.min(self.lanes);
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let stride = self.shape.max_labels as u64;
        let (items, item_base) = self.tiling.items_span(group.first, group.count, 1);
        let (labels, label_base) = if concatenated {
            (Span::Rest, 0)
        } else {
            self.tiling.items_span(group.first, group.count, stride)
        };
        let params = Params {
            item_base: word(item_base),
            label_base: word(label_base),
            ..self.tile_params(group)
        };
        let scan = if collapse {
            u64::from(lanes.ilog2()) + 1
        } else {
            0
        };
        let rounds = stride.div_ceil(lanes.into()) * (1 + scan) + 1;
        let reduction = match options.reduction {
            _ if !self.task.is_loss() => 1,
            Reduction::None | Reduction::Sum => 1,
            Reduction::MeanBatch => 2,
            Reduction::MeanLabel => 3,
            Reduction::MeanVolume => 4,
            Reduction::MeanWeighted => 5,
        };
        self.push(Step {
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
            grid: self.folded(group.count, 1),
            spans: [labels, items, items, items]
                .into_iter()
                .chain([Span::Table; 4])
                .collect(),
            iterations: Iterations::bounded(rounds, "max_labels Lmax", stride)?,
        })?;
        Ok(())
    }

    pub(super) fn chain(&mut self, group: Tile) -> Result<(), PlanError> {
        if self.task == Task::Loss {
            return Ok(());
        }
        let width = self.tiling.width;
        let classes = self.shape.classes as u64;
        let lanes = u64::from(64.min(self.lanes));
        // A label's lane looks at all others.
        let rounds = |clear: u64, link: u64| clear.div_ceil(lanes) + link * (width + 2) + 2;
        let strides = width.div_ceil(lanes);
        let together = rounds(classes, strides);
        let dispatches = if together <= u64::from(Iterations::MAX) {
            vec![(1, [1, 1], together)]
        } else {
            let most = u64::from(self.limits.max_workgroups);
            let clear = classes.div_ceil(lanes).min(most);
            vec![
                (clear, [1, 0], rounds(classes.div_ceil(clear), 0)),
                (strides, [0, 1], rounds(0, 1)),
            ]
        };
        let [y, z, _] = self.folded(group.count, 1);
        for (x, [clear, link], rounds) in dispatches {
            self.push(Step {
                kernel: &kernels::LABEL_LINKS,
                label: "label_links",
                subgroups: false,
                constants: vec![("LANES", word(lanes)), ("CLEAR", clear), ("LINK", link)],
                params: self.tile_params(group),
                grid: [word(x), y, z],
                spans: vec![Span::Table; 3],
                iterations: Iterations::bounded(rounds, "labels min(Lmax, T)", width)?,
            })?;
        }
        Ok(())
    }

    /// The stages that look at whole frames: stats and grad, chunk by chunk.
    pub(super) fn rows(
        &mut self,
        group: Tile,
        page: Segment,
        kernel: &'static Kernel,
    ) -> Result<(), PlanError> {
        let slice_frames = self.tiling.slice_frames;
        let frames = self.shape.frames as u64;
        let classes = self.shape.classes as u64;
        // The frames that lanes share: four of an item look up the same labels.
        let share = if kernel == &kernels::GRAD { 4 } else { 1 };
        let lanes = row_lanes(share, classes, self.lanes.into(), self.limits);
        let iterations = self.row_rounds(kernel, lanes)?;
        // A CPU's lanes wait for no others than those of a vector, where a grid has room for so many workgroups.
        let few = group.count * slice_frames <= self.limits.max_workgroups.into();
        let together = if self.limits.software && few {
            lanes
        } else {
            128
        };
        let rows = (together.min(self.lanes.into()) / lanes).max(1);
        let subgroups = rows == 1 && lanes == u64::from(self.limits.subgroup_size);
        for frame in (0..frames).step_by(usize_of(slice_frames.max(1))) {
            let count = slice_frames.min(frames - frame);
            let (input, params) = self.row_params(group, page, frame, count);
            let mut constants = vec![
                ("LANES", word(lanes)),
                ("ROWS", word(rows)),
                ("INPUT", self.input()),
            ];
            if kernel == &kernels::SOFTMAX_STATS {
                constants.push(("DIRECTIONS", word(self.task.directions())));
                constants.push(("GREEDY", (self.task == Task::Greedy).into()));
                constants.push(("WRITE_GATHERED", self.tiling.gathered.into()));
                constants.push(("ROW_IN_REGISTERS", (classes <= 4 * lanes).into()));
            }
            let shares = group.count * count.div_ceil(share);
            self.push(Step {
                kernel,
                label: kernel.name,
                subgroups,
                constants,
                params,
                grid: self.folded(shares.div_ceil(rows), 1),
                spans: self.spans(kernel, |_| input),
                iterations,
            })?;
        }
        Ok(())
    }

    /// How often a lane of stats or grad goes round its loops.
    fn row_rounds(&self, kernel: &Kernel, lanes: u64) -> Result<Iterations, PlanError> {
        let classes = self.shape.classes as u64;
        let Tiling {
            width,
            quads,
            gathered,
            ..
        } = self.tiling;
        let of_row = classes.div_ceil(lanes) + 8;
        let folds = 2 * u64::from(lanes.ilog2());
        let of_labels = if kernel == &kernels::GRAD {
            // The quads, and all chains of equal labels together.
            quads.div_ceil(lanes) + width
        } else if gathered {
            width / lanes + 1
        } else {
            0
        };
        let (axis, value) = if of_labels > of_row {
            ("labels min(Lmax, T)", width)
        } else {
            ("classes C", classes)
        };
        Iterations::bounded(of_row + folds + of_labels, axis, value)
    }

    /// Alpha and beta through a page, window by window: on their way in the windows ascend, on their way out they
    /// descend.
    pub(super) fn sweep(
        &mut self,
        group: Tile,
        page: Segment,
        phase: Phase,
    ) -> Result<(), PlanError> {
        let Tiling {
            width,
            quads,
            scratch,
            gathered,
            ..
        } = self.tiling;
        let subgroup = u64::from(self.limits.subgroup_size);
        let subgroups = !scratch && quads <= subgroup && subgroup <= u64::from(self.lanes);
        let lanes = match (scratch, subgroups) {
            (true, _) => u64::from(self.lanes),
            (false, true) => subgroup,
            (false, false) => sweep_lanes(quads, self.limits.software),
        };
        let aligns = self.task == Task::Align;
        // Each step of a long one goes round the quads, once or, with a block's rows made again, twice, and copies a row a block.
        let strides = quads.div_ceil(lanes) + 2;
        let (kernel, round, ends) = match (scratch, aligns) {
            (true, true) => (&kernels::VITERBI_LONG, strides, 2 * strides),
            (true, false) => (&kernels::SWEEP_LONG, 3 * strides, 2 * strides),
            (false, true) => (&kernels::VITERBI, 1, 1),
            (false, false) => (&kernels::SWEEP, 1, 1),
        };
        let window = u64::from(Iterations::MAX).saturating_sub(ends + 1) / round;
        let window = (window / BLOCK * BLOCK).max(BLOCK);
        let windows = (page.end - page.first).div_ceil(window);
        let checkpointed = self.tiling.checkpointed();
        let checkpoint = if checkpointed { 1 + page.index } else { 0 };
        let (label, array, keeps) = match phase {
            Phase::In => (
                if aligns { "viterbi" } else { "sweep inward" },
                0,
                self.task != Task::Loss && !checkpointed,
            ),
            Phase::Again if aligns => ("viterbi recompute", checkpoint, true),
            Phase::Again => ("sweep recompute", checkpoint, true),
            Phase::Out => ("sweep outward", 0, true),
        };
        let (frame, frames, items) = if gathered {
            (0, 1, 1)
        } else {
            (0, self.shape.frames as u64, group.count)
        };
        let bound = Tile {
            count: items,
            ..group
        };
        let (input, params) = self.row_params(bound, page, frame, frames);
        for turn in 0..windows {
            let index = match phase {
                Phase::Out => windows - 1 - turn,
                Phase::In | Phase::Again => turn,
            };
            let first = page.first + index * window;
            let end = (first + window).min(page.end);
            let saves = phase == Phase::In && first == page.first;
            let mut constants = vec![
                ("LANES", word(lanes)),
                ("STORE_ROWS", keeps.into()),
                ("READ_GATHERED", gathered.into()),
                ("INPUT", self.input()),
                ("DISTINCT", self.distinct()),
            ];
            constants.push(if aligns {
                ("DIRECTIONS", 1)
            } else {
                ("OUTWARD", (phase == Phase::Out).into())
            });
            self.push(Step {
                kernel,
                label,
                subgroups,
                constants,
                params: Params {
                    tile_items: word(group.count),
                    first_step: word(first),
                    end_step: word(end),
                    carry_row: word(array),
                    checkpoint_row: word(if saves { checkpoint } else { 0 }),
                    ..params
                },
                grid: self.folded(group.count, word(self.task.directions())),
                spans: self.spans(kernel, |_| input),
                iterations: Iterations::bounded(
                    (end - first) * round + ends + 1,
                    "labels min(Lmax, T)",
                    width,
                )?,
            })?;
        }
        Ok(())
    }

    pub(super) fn meet(&mut self, group: Tile) -> Result<(), PlanError> {
        let quads = self.tiling.quads;
        let frames = self.shape.frames as u64;
        // Not by Lmax or T, as for the rows. A CPU does better with a vector's lanes alone, which need not wait.
        let lanes = if self.limits.software { 8 } else { 64 }.min(self.lanes);
        let (items, base) = self.tiling.items_span(group.first, group.count, 1);
        let rounds = quads.div_ceil(lanes.into())
            + frames.div_ceil(4 * u64::from(lanes))
            + u64::from(lanes.ilog2())
            + 3;
        let zero = self.options.impossible == Impossible::Zero;
        self.push(Step {
            kernel: &kernels::JOIN,
            label: "join",
            subgroups: false,
            constants: vec![
                ("LANES", lanes),
                ("ZERO_IMPOSSIBLE", zero.into()),
                ("INPUT", self.input()),
                ("DISTINCT", self.distinct()),
            ],
            params: Params {
                item_base: word(base),
                ..self.tile_params(group)
            },
            grid: self.folded(group.count, 1),
            spans: self.spans(&kernels::JOIN, |_| items),
            iterations: Iterations::bounded(rounds, "frames T", frames)?,
        })?;
        Ok(())
    }

    pub(super) fn reduce(&mut self, group: Tile) -> Result<(), PlanError> {
        let (items, base) = self.tiling.items_span(group.first, group.count, 1);
        let lanes = self.lanes;
        let rounds = group.count.div_ceil(lanes.into()) + u64::from(lanes.ilog2()) + 2;
        self.push(Step {
            kernel: &kernels::REDUCE,
            label: "reduce",
            subgroups: false,
            constants: vec![("LANES", lanes)],
            params: Params {
                item_base: word(base),
                first_dispatch: u32::from(group.first == 0),
                ..self.tile_params(group)
            },
            grid: [1, 1, 1],
            spans: vec![
                Span::Table,
                items,
                Span::Range {
                    offset: 0,
                    bytes: 4,
                },
            ],
            iterations: Iterations::bounded(rounds, "items N", group.count)?,
        })?;
        Ok(())
    }
}

/// The lanes of a sweep that passes states through workgroup memory: one per quad, rounded up so that few pipelines
/// serve all lengths, since each number of lanes is compiled anew.
///
/// Most GPUs run 32 or 64 lanes at once, so a multiple of 32 costs nothing; short items get 8 or 16 lanes, since some GPUs
/// have subgroups of that size. A software driver computes every lane: it gets multiples of 8, and beyond 64 quads
/// four sizes per doubling, so that less than a quarter of the lanes is idle.
pub(super) fn sweep_lanes(quads: u64, software: bool) -> u64 {
    let doubled = quads.next_power_of_two();
    let least = if software { 8 } else { doubled.clamp(8, 32) };
    quads.next_multiple_of(least.max(doubled / 8))
}
