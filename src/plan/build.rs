//! From a shape to its dispatches: the stages in order, each over what was cut for it.

use super::cut::Cuts;
use super::{Goal, Iterations, Plan, Span, Step};
use crate::error::PlanError;
use crate::kernels::{self, Kernel, Slot};
use crate::limits::Limits;
use crate::options::{
    BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
};
use crate::params::Params;
use crate::problem::{LONGEST_AXIS, LabelLayout, Layout, Shape, check_epsilon};

/// Items whose sums one dispatch of `totals` adds up: 256 lanes, 11 rounds for each 256 items.
const TOTALS_WINDOW: u64 = 1 << 20;

pub(super) fn plan(
    shape: &Shape,
    options: &Options,
    goal: Goal,
    limits: &Limits,
) -> Result<Plan, PlanError> {
    check(shape, options, limits)?;
    let cuts = Cuts::new(shape, goal, limits)?;
    let mut builder = Builder {
        shape,
        options,
        goal,
        cuts,
        lanes: 1 << limits.max_invocations.min(256).ilog2(),
        limits,
        steps: Vec::new(),
    };
    builder.totals()?;
    let items = shape.items as u64;
    for first in (0..items).step_by(usize_of(cuts.group)) {
        builder.group(Group {
            first,
            count: cuts.group.min(items - first),
        })?;
    }
    if items == 0 && options.reduction != Reduction::None {
        builder.reduce(Group { first: 0, count: 0 })?;
    }
    Ok(Plan {
        shape: *shape,
        options: *options,
        goal,
        tables: cuts.tables(goal),
        groups: shape.items.div_ceil(usize_of(cuts.group)),
        pages: usize_of(cuts.steps.div_ceil(cuts.page_steps)),
        chunks: usize_of((shape.frames as u64).div_ceil(cuts.chunk_frames.max(1))),
        steps: builder.steps,
    })
}

fn check(shape: &Shape, options: &Options, limits: &Limits) -> Result<(), PlanError> {
    for (axis, value, least) in [
        ("items N", shape.items, 0),
        ("frames T", shape.frames, 0),
        ("classes C", shape.classes, 1),
        ("max_labels Lmax", shape.max_labels, 0),
    ] {
        if value < least || value > LONGEST_AXIS {
            return Err(PlanError::Axis {
                axis,
                value: value as u64,
                rule: "below 2^31, and C at least 1: the blank is a class",
            });
        }
    }
    let blank = options.blank.index(shape.classes);
    if blank >= shape.classes {
        return Err(PlanError::Blank {
            blank,
            classes: shape.classes,
        });
    }
    check_epsilon(options.input).map_err(|epsilon| PlanError::Epsilon(epsilon.to_string()))?;
    for (limit, has, needs, what) in [
        (
            "max_storage_buffers_per_shader_stage",
            limits.max_storage_buffers,
            Limits::STORAGE_BUFFERS,
            "stage `labels`",
        ),
        (
            "max_compute_invocations_per_workgroup",
            limits.max_invocations,
            32,
            "every stage",
        ),
        (
            "max_compute_workgroup_storage_size",
            limits.workgroup_memory,
            8192,
            "every stage",
        ),
        (
            "max_compute_workgroups_per_dimension",
            limits.max_workgroups,
            2,
            "every stage",
        ),
    ] {
        if has < needs {
            return Err(PlanError::Limit {
                limit,
                has: has.into(),
                needs: needs.into(),
                what,
            });
        }
    }
    Ok(())
}

/// Items that share the workspace at one time.
#[derive(Clone, Copy)]
struct Group {
    first: u64,
    count: u64,
}

struct Builder<'a> {
    shape: &'a Shape,
    options: &'a Options,
    goal: Goal,
    cuts: Cuts,
    /// The widest workgroup.
    lanes: u32,
    limits: &'a Limits,
    steps: Vec<Step>,
}

impl Builder<'_> {
    fn group(&mut self, group: Group) -> Result<(), PlanError> {
        self.labels(group)?;
        self.chain(group)?;
        self.rows(group, &kernels::EMIT, "emit")?;
        self.sweep(group, "sweep in")?;
        self.meet(group)?;
        if self.options.reduction != Reduction::None {
            self.reduce(group)?;
        }
        if self.goal == Goal::LossAndGrad {
            self.sweep(group, "sweep out")?;
            self.rows(group, &kernels::GRAD, "grad")?;
        }
        Ok(())
    }

    fn totals(&mut self) -> Result<(), PlanError> {
        let concatenated = self.shape.label_layout == LabelLayout::Concatenated;
        let over_batch = matches!(
            self.options.reduction,
            Reduction::MeanVolume | Reduction::MeanWeighted
        );
        if !concatenated && !over_batch {
            return Ok(());
        }
        let items = self.shape.items as u64;
        for first in (0..items).step_by(usize_of(TOTALS_WINDOW)) {
            let count = TOTALS_WINDOW.min(items - first);
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
            self.steps.push(Step {
                kernel: &kernels::TOTALS,
                label: "totals",
                constants: vec![("LANES", lanes), ("CONCATENATED", concatenated.into())],
                params,
                grid: [1, 1, 1],
                spans: vec![span, span, Span::Page(0)],
                iterations: Iterations::bounded(rounds, "items N", items)?,
            });
        }
        Ok(())
    }

    fn labels(&mut self, group: Group) -> Result<(), PlanError> {
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
        self.steps.push(Step {
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
        });
        Ok(())
    }

    fn chain(&mut self, group: Group) -> Result<(), PlanError> {
        let width = self.cuts.width;
        if self.goal == Goal::Loss || width == 0 {
            return Ok(());
        }
        let lanes = 64.min(self.lanes);
        let [y, z, _] = self.folded(group.count, 1);
        self.steps.push(Step {
            kernel: &kernels::CHAIN,
            label: "chain",
            constants: vec![("LANES", lanes)],
            params: self.group_params(group),
            grid: [word(width.div_ceil(lanes.into())), y, z],
            spans: vec![Span::Page(0); 2],
            iterations: Iterations::bounded(width + 2, "labels min(Lmax, T)", width)?,
        });
        Ok(())
    }

    /// The stages that look at whole frames: emit and grad, chunk by chunk and page by page.
    fn rows(
        &mut self,
        group: Group,
        kernel: &'static Kernel,
        label: &'static str,
    ) -> Result<(), PlanError> {
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
        let rows = (128 / lanes).max(1);
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
                self.steps.push(Step {
                    kernel,
                    label,
                    constants,
                    params,
                    grid: self.folded((group.count * count).div_ceil(rows.into()), 1),
                    spans: self.spans(kernel, page, |slot| match slot {
                        Slot::Input | Slot::Grad => input,
                        _ => Span::Page(0),
                    }),
                    iterations,
                });
            }
        }
        Ok(())
    }

    /// Alpha and beta, window by window: on their way in the windows ascend, on their way out they descend.
    fn sweep(&mut self, group: Group, label: &'static str) -> Result<(), PlanError> {
        let out = label == "sweep out";
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
            self.steps.push(Step {
                kernel: &kernels::SWEEP,
                label,
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
            });
        }
        Ok(())
    }

    fn meet(&mut self, group: Group) -> Result<(), PlanError> {
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
        self.steps.push(Step {
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
        });
        Ok(())
    }

    fn reduce(&mut self, group: Group) -> Result<(), PlanError> {
        let (items, base) = self.cuts.items_span(group.first, group.count, 1);
        let lanes = self.lanes;
        let rounds = group.count.div_ceil(lanes.into()) + u64::from(lanes.ilog2()) + 2;
        self.steps.push(Step {
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
        });
        Ok(())
    }

    fn params(&self) -> Params {
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
            width: word(self.cuts.width),
            ..Params::default()
        }
    }

    fn group_params(&self, group: Group) -> Params {
        Params {
            group: word(group.count),
            first_item: word(group.first),
            ..self.params()
        }
    }

    fn page_params(&self, group: Group, page: u64) -> Params {
        let first = page * self.cuts.page_steps;
        Params {
            page_step: word(first),
            page_end: word((first + self.cuts.page_steps).min(self.cuts.steps)),
            ..self.group_params(group)
        }
    }

    fn spans(&self, kernel: &Kernel, page: u64, other: impl Fn(Slot) -> Span) -> Vec<Span> {
        let span = |&(slot, _): &(Slot, _)| match slot {
            Slot::Lattice if self.goal == Goal::Loss => Span::Page(0),
            Slot::Emissions | Slot::Lattice => Span::Page(usize_of(page)),
            slot => other(slot),
        };
        kernel.bindings.iter().map(span).collect()
    }

    fn folded(&self, workgroups: u64, z: u32) -> [u32; 3] {
        let x = workgroups.min(self.limits.max_workgroups.into()).max(1);
        [word(x), word(workgroups.div_ceil(x)).max(1), z]
    }

    fn input(&self) -> u32 {
        match self.options.input {
            Input::Logits => 0,
            Input::LogProbs => 1,
            Input::LogProbsExact => 2,
            Input::Probs { .. } => 3,
        }
    }

    fn keep(&self) -> u32 {
        (self.goal == Goal::LossAndGrad).into()
    }

    fn distinct(&self) -> u32 {
        (self.options.repeated_outputs == RepeatedOutputs::Distinct).into()
    }
}

/// A number that the cuts keep below 2^31.
fn word(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
