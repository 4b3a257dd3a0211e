//! The dispatches of each stage, in the order of the pipeline.

use super::build::{Builder, Group, Phase, usize_of, word};
use super::cut::Cuts;
use super::{Iterations, Span, Step};
use crate::error::PlanError;
use crate::kernels::{self, Kernel, Slot};
use crate::options::{BlankInLabels, Impossible, Reduction, RepeatedLabels};
use crate::params::Params;
use crate::plan::Goal;
use crate::problem::{LabelLayout, Layout};

/// Items whose sums one dispatch of `totals` adds up: with 32 lanes, the fewest, 8 rounds for each 32 items.
const TOTALS_WINDOW: u64 = 1 << 17;

impl Builder<'_> {
    pub(super) fn totals(&mut self) -> Result<(), PlanError> {
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let over_batch = matches!(
            self.options.reduction,
            Reduction::MeanVolume | Reduction::MeanWeighted
        );
        if !concatenated && !over_batch {
            return Ok(());
        }
        let items = self.shape.items as u64;
        let window = TOTALS_WINDOW.min(self.cuts.slice_words());
        for first in (0..items).step_by(usize_of(window)) {
            let count = window.min(items - first);
            let (span, base) = self.cuts.items_span(first, count, 1);
            let params = Params {
                group: word(count),
                item_base: word(base),
                first_item: word(first),
                first_dispatch: u32::from(first == 0),
                ..self.params()
            };
            let lanes = self.lanes;
            let rounds = count.div_ceil(lanes.into()) * (3 + u64::from(lanes.ilog2())) + 1;
            self.push(Step {
                kernel: &kernels::TOTALS,
                label: "totals",
                constants: vec![("LANES", lanes), ("CONCATENATED", concatenated.into())],
                params,
                grid: [1, 1, 1],
                spans: vec![span, span, Span::Page(0)],
                iterations: Iterations::bounded(rounds, "items N", items)?,
            })?;
        }
        Ok(())
    }

    pub(super) fn labels(&mut self, group: Group) -> Result<(), PlanError> {
        let options = self.options;
        let lanes = 64.min(self.lanes);
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let stride = self.shape.max_labels as u64;
        let (items, item_base) = self.cuts.items_span(group.first, group.count, 1);
        let (labels, label_base) = if concatenated {
            (Span::Rest, 0)
        } else {
            self.cuts.items_span(group.first, group.count, stride)
        };
        let params = Params {
            item_base: word(item_base),
            label_base: word(label_base),
            ..self.group_params(group)
        };
        let scan = if collapse {
            u64::from(lanes.ilog2()) + 1
        } else {
            0
        };
        let rounds = stride.div_ceil(lanes.into()) * (1 + scan) + 1;
        let reduction = match options.reduction {
            Reduction::None | Reduction::Sum => 1,
            Reduction::MeanBatch => 2,
            Reduction::MeanLabel => 3,
            Reduction::MeanVolume => 4,
            Reduction::MeanWeighted => 5,
        };
        self.push(Step {
            kernel: &kernels::LABELS,
            label: "labels",
            constants: vec![
                ("LANES", lanes),
                ("CONCATENATED", concatenated.into()),
                (
                    "ALLOW_BLANK",
                    (options.blank_in_labels == BlankInLabels::Allow).into(),
                ),
                ("COLLAPSE", collapse.into()),
                ("DISTINCT", self.distinct()),
                ("REDUCTION", reduction),
            ],
            params,
            grid: self.folded(group.count, 1),
            spans: [labels, items, items, items]
                .into_iter()
                .chain([Span::Page(0); 4])
                .collect(),
            iterations: Iterations::bounded(rounds, "max_labels Lmax", stride)?,
        })?;
        Ok(())
    }

    pub(super) fn chain(&mut self, group: Group) -> Result<(), PlanError> {
        let width = self.cuts.width;
        if self.goal == Goal::Loss || width == 0 {
            return Ok(());
        }
        let lanes = 64.min(self.lanes);
        let [y, z, _] = self.folded(group.count, 1);
        self.push(Step {
            kernel: &kernels::CHAIN,
            label: "chain",
            constants: vec![("LANES", lanes)],
            params: self.group_params(group),
            grid: [word(width.div_ceil(lanes.into())), y, z],
            spans: vec![Span::Page(0); 2],
            iterations: Iterations::bounded(width + 2, "labels min(Lmax, T)", width)?,
        })?;
        Ok(())
    }

    /// The stages that look at whole frames: emit and grad, chunk by chunk and page by page.
    pub(super) fn rows(&mut self, group: Group, kernel: &'static Kernel) -> Result<(), PlanError> {
        let Cuts {
            width,
            steps,
            page_steps,
            chunk_frames,
            ..
        } = self.cuts;
        let frames = self.shape.frames as u64;
        let classes = self.shape.classes as u64;
        // About four classes a lane, so that a short row does not leave most lanes idle. Of the batch's sizes only C may
        // count here: the order of a sum must not depend on what else is in the batch.
        let lanes = word((classes / 4).clamp(8, self.lanes.into()))
            .next_power_of_two()
            .min(self.lanes);
        let rows = (128.min(self.lanes) / lanes).max(1);
        let each = |n: u64| n.div_ceil(lanes.into()) + 1;
        let folds = 3 * (u64::from(lanes.ilog2()) + 1);
        // Emit: two readings of the row and the labels; grad: states, blanks, labels, the row, the labels and a chain.
        let rounds = 2 * each(classes) + each(2 * width + 1) + 3 * each(width + 1) + width + folds;
        let iterations = if rounds > u64::from(Iterations::MAX) && width > classes / 64 {
            Iterations::bounded(rounds, "labels min(Lmax, T)", width)?
        } else {
            Iterations::bounded(rounds, "classes C", classes)?
        };
        for page in 0..steps.div_ceil(page_steps) {
            for frame in (0..frames).step_by(usize_of(chunk_frames.max(1))) {
                let count = chunk_frames.min(frames - frame);
                let (input, input_base) =
                    self.cuts.chunk_span(group.first, group.count, frame, count);
                let (item_rows, frame_rows) = match self.shape.layout {
                    Layout::BatchMajor => (frames, 1),
                    Layout::TimeMajor => (1, self.shape.items as u64),
                };
                let params = Params {
                    first_frame: word(frame),
                    chunk_frames: word(count),
                    input_base: word(input_base),
                    item_rows: word(item_rows),
                    frame_rows: word(frame_rows),
                    ..self.page_params(group, page)
                };
                let constants = vec![("LANES", lanes), ("ROWS", rows), ("INPUT", self.input())];
                self.push(Step {
                    kernel,
                    label: kernel.name,
                    constants,
                    params,
                    grid: self.folded((group.count * count).div_ceil(rows.into()), 1),
                    spans: self.spans(kernel, page, |slot| match slot {
                        Slot::Input | Slot::Grad => input,
                        _ => Span::Page(0),
                    }),
                    iterations,
                })?;
            }
        }
        Ok(())
    }

    /// Alpha and beta, window by window: on their way in the windows ascend, on their way out they descend.
    pub(super) fn sweep(&mut self, group: Group, phase: Phase) -> Result<(), PlanError> {
        let out = phase == Phase::Out;
        let Cuts {
            width,
            steps,
            page_steps,
            ..
        } = self.cuts;
        let lanes = word((width + 1).min(self.lanes.into()))
            .next_power_of_two()
            .clamp(8, self.lanes);
        let states = self.cuts.states();
        let in_storage = 2 * states * 8 > self.limits.workgroup_memory.into();
        // Rounded up, so that labels of about one length share a pipeline.
        let most = self.limits.workgroup_memory / 16;
        let row = if in_storage {
            1
        } else {
            word(states).next_power_of_two().min(most)
        };
        // Each step goes round the places and once round its own loop; each loop ends with a check of its own. The
        // states are fetched before and put back after.
        let round = (width + 1).div_ceil(lanes.into()) + 2;
        let ends = 2 * (states.div_ceil(lanes.into()) + 1);
        let window = (u64::from(Iterations::MAX).saturating_sub(ends + 1) / round).max(1);
        let mut windows = Vec::new();
        for page in 0..steps.div_ceil(page_steps) {
            let end = ((page + 1) * page_steps).min(steps);
            for first in (page * page_steps..end).step_by(usize_of(window)) {
                windows.push((page, first, (first + window).min(end)));
            }
        }
        if out {
            windows.reverse();
        }
        for (page, first, end) in windows {
            let rounds = (end - first) * round + ends + 1;
            self.push(Step {
                kernel: &kernels::SWEEP,
                label: if out { "sweep out" } else { "sweep in" },
                constants: vec![
                    ("LANES", lanes),
                    ("ROW", row),
                    ("IN_STORAGE", in_storage.into()),
                    ("OUT", out.into()),
                    ("KEEP", self.keep()),
                    ("DISTINCT", self.distinct()),
                ],
                params: Params {
                    first_step: word(first),
                    end_step: word(end),
                    ..self.page_params(group, page)
                },
                grid: self.folded(group.count, 2),
                spans: self.spans(&kernels::SWEEP, page, |_| Span::Page(0)),
                iterations: Iterations::bounded(rounds, "labels min(Lmax, T)", width)?,
            })?;
        }
        Ok(())
    }

    pub(super) fn meet(&mut self, group: Group) -> Result<(), PlanError> {
        let width = self.cuts.width;
        let frames = self.shape.frames as u64;
        // Not by Lmax or T, as for the rows.
        let lanes = 64.min(self.lanes);
        let (items, base) = self.cuts.items_span(group.first, group.count, 1);
        let rounds = (width + 1).div_ceil(lanes.into())
            + frames.div_ceil(lanes.into())
            + u64::from(lanes.ilog2())
            + 3;
        let zero = self.options.impossible == Impossible::Zero;
        self.push(Step {
            kernel: &kernels::MEET,
            label: "meet",
            constants: vec![
                ("LANES", lanes),
                ("ZERO_IMPOSSIBLE", zero.into()),
                ("INPUT", self.input()),
                ("DISTINCT", self.distinct()),
            ],
            params: Params {
                item_base: word(base),
                ..self.group_params(group)
            },
            grid: self.folded(group.count, 1),
            spans: self.spans(&kernels::MEET, 0, |slot| match slot {
                Slot::Loss | Slot::Status => items,
                _ => Span::Page(0),
            }),
            iterations: Iterations::bounded(rounds, "frames T", frames)?,
        })?;
        Ok(())
    }

    pub(super) fn reduce(&mut self, group: Group) -> Result<(), PlanError> {
        let (items, base) = self.cuts.items_span(group.first, group.count, 1);
        let lanes = self.lanes;
        let rounds = group.count.div_ceil(lanes.into()) + u64::from(lanes.ilog2()) + 2;
        self.push(Step {
            kernel: &kernels::REDUCE,
            label: "reduce",
            constants: vec![("LANES", lanes)],
            params: Params {
                item_base: word(base),
                first_dispatch: u32::from(group.first == 0),
                ..self.group_params(group)
            },
            grid: [1, 1, 1],
            spans: vec![
                Span::Page(0),
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
