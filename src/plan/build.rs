//! From a shape to its dispatches: the stages in order, each over what was cut for it.

use super::cut::Cuts;
use super::{Goal, Plan, Span, Step};
use crate::error::PlanError;
use crate::kernels::{self, Kernel, Slot};
use crate::limits::Limits;
use crate::options::{Input, Options, Reduction, RepeatedOutputs};
use crate::params::Params;
use crate::problem::{LONGEST_AXIS, LabelLayout, Shape, check_epsilon};

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
    // A batch that no buffer holds is never encoded; cut into groups it would fill the host's memory with steps.
    let labels = match shape.label_layout {
        LabelLayout::Padded => shape.items.saturating_mul(shape.max_labels),
        LabelLayout::Concatenated => 0,
    };
    for (words, what) in [(shape.elements(), "the input"), (labels, "the labels")] {
        let needs = (words as u64).saturating_mul(4);
        if needs > limits.max_buffer {
            return Err(PlanError::Limit {
                limit: "max_buffer_size",
                has: limits.max_buffer,
                needs,
                what,
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

/// Which way alpha and beta go: to the middle, or on from there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    In,
    Out,
}

/// Items that share the workspace at one time.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The steps so far, and what they are made from.
pub(super) struct Builder<'a> {
    pub(super) shape: &'a Shape,
    pub(super) options: &'a Options,
    pub(super) goal: Goal,
    pub(super) cuts: Cuts,
    /// The widest workgroup.
    pub(super) lanes: u32,
    pub(super) limits: &'a Limits,
    pub(super) steps: Vec<Step>,
}

impl Builder<'_> {
    fn group(&mut self, group: Group) -> Result<(), PlanError> {
        self.labels(group)?;
        self.chain(group)?;
        self.rows(group, &kernels::EMIT)?;
        self.sweep(group, Phase::In)?;
        self.meet(group)?;
        if self.options.reduction != Reduction::None {
            self.reduce(group)?;
        }
        if self.goal == Goal::LossAndGrad {
            self.sweep(group, Phase::Out)?;
            self.rows(group, &kernels::GRAD)?;
        }
        Ok(())
    }

    /// Takes a step, if its grid is one that the device dispatches.
    pub(super) fn push(&mut self, step: Step) -> Result<(), PlanError> {
        let widest = step.grid.into_iter().max().unwrap_or(0);
        if widest > self.limits.max_workgroups {
            return Err(PlanError::Limit {
                limit: "max_compute_workgroups_per_dimension",
                has: self.limits.max_workgroups.into(),
                needs: widest.into(),
                what: step.label,
            });
        }
        self.steps.push(step);
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
            width: word(self.cuts.width),
            ..Params::default()
        }
    }

    pub(super) fn group_params(&self, group: Group) -> Params {
        Params {
            group: word(group.count),
            first_item: word(group.first),
            ..self.params()
        }
    }

    pub(super) fn page_params(&self, group: Group, page: u64) -> Params {
        let first = page * self.cuts.page_steps;
        Params {
            page_step: word(first),
            page_end: word((first + self.cuts.page_steps).min(self.cuts.steps)),
            ..self.group_params(group)
        }
    }

    pub(super) fn spans(
        &self,
        kernel: &Kernel,
        page: u64,
        other: impl Fn(Slot) -> Span,
    ) -> Vec<Span> {
        let span = |&(slot, _): &(Slot, _)| match slot {
            Slot::Lattice if self.goal == Goal::Loss => Span::Page(0),
            Slot::Emissions | Slot::Lattice => Span::Page(usize_of(page)),
            slot => other(slot),
        };
        kernel.bindings.iter().map(span).collect()
    }

    pub(super) fn folded(&self, workgroups: u64, z: u32) -> [u32; 3] {
        let x = workgroups.min(self.limits.max_workgroups.into()).max(1);
        [word(x), word(workgroups.div_ceil(x)).max(1), z]
    }

    pub(super) fn input(&self) -> u32 {
        match self.options.input {
            Input::Logits => 0,
            Input::LogProbs => 1,
            Input::LogProbsExact => 2,
            Input::Probs { .. } => 3,
        }
    }

    pub(super) fn keep(&self) -> u32 {
        (self.goal == Goal::LossAndGrad).into()
    }

    pub(super) fn distinct(&self) -> u32 {
        (self.options.repeated_outputs == RepeatedOutputs::Distinct).into()
    }
}

/// A number that the cuts keep below 2^31.
pub(super) fn word(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
