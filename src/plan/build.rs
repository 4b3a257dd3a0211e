//! From a shape to its dispatches: the stages in order, each over what was cut for it.

use super::check::check;
use super::tiling::{self, Tiling};
use super::{Plan, Span, Step, Task};
use crate::batch::{BatchShape, LabelLayout, Layout};
use crate::error::PlanError;
use crate::kernels::{self, ArrayId, Kernel};
use crate::limits::DeviceLimits;
use crate::options::{Input, Options, Reduction, RepeatedOutputs};
use crate::params::Params;

/// The most dispatches of a plan: each has a bind group and a uniform of its own. So many are planned in milliseconds.
pub(super) const MOST_STEPS: usize = 1 << 16;

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
    let resident = lanes.min(limits.max_register_quads.into());
    let scratch = task.has_states() && tiling::quads(shape) > resident;
    let tiling = Tiling::new(shape, task, limits, scratch)?;
    let mut builder = Builder {
        shape,
        options,
        task,
        tiling,
        lanes: word(lanes),
        limits,
        steps: Vec::new(),
    };
    builder.totals()?;
    let items = shape.items as u64;
    let before = builder.steps.len();
    for first in (0..items).step_by(usize_of(tiling.group)) {
        builder.group(Tile {
            first,
            count: tiling.group.min(items - first),
        })?;
        if first == 0 {
            // All groups have as many steps as the first.
            let of_group = builder.steps.len() - before;
            let groups = (MOST_STEPS - before) / of_group.max(1);
            let most = tiling.group.saturating_mul(groups as u64);
            if items > most {
                return Err(PlanError::Dispatches {
                    items: shape.items,
                    most: usize_of(most),
                });
            }
        }
    }
    if items == 0 && options.reduction != Reduction::None && task.is_loss() {
        builder.reduce(Tile { first: 0, count: 0 })?;
    }
    Ok(Plan {
        shape: *shape,
        options: *options,
        task,
        tables: tiling.tables(),
        batch_tiles: shape.items.div_ceil(usize_of(tiling.group)),
        segments: usize_of(tiling.segments()),
        input_slices: usize_of((shape.frames as u64).div_ceil(tiling.slice_frames.max(1))),
        steps: builder.steps,
    })
}

/// Which way alpha and beta go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To the middle.
    In,
    /// Through one page of that way again, to keep its rows.
    Again,
    /// On from the middle.
    Out,
}

/// Items that share the workspace at one time.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) first: u64,
    pub(super) count: u64,
}

/// Steps whose rows the tables hold at one time.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) index: u64,
    pub(super) first: u64,
    pub(super) end: u64,
}

/// The steps so far, and what they are made from.
pub(super) struct Builder<'a> {
    pub(super) shape: &'a BatchShape,
    pub(super) options: &'a Options,
    pub(super) task: Task,
    pub(super) tiling: Tiling,
    /// The widest workgroup.
    pub(super) lanes: u32,
    pub(super) limits: &'a DeviceLimits,
    pub(super) steps: Vec<Step>,
}

impl Builder<'_> {
    fn group(&mut self, group: Tile) -> Result<(), PlanError> {
        match self.task {
            Task::Loss | Task::LossAndGrad => self.loss(group),
            Task::Align => self.alignment(group),
            Task::Greedy => self.greedy(group),
        }
    }

    fn loss(&mut self, group: Tile) -> Result<(), PlanError> {
        let pages = self.tiling.segments();
        let paged = self.tiling.checkpointed();
        self.labels(group)?;
        self.chain(group)?;
        if !self.tiling.gathered {
            self.rows(group, self.all(), &kernels::SOFTMAX_STATS)?;
        }
        for page in 0..pages {
            let page = self.segment(page);
            if self.tiling.gathered {
                self.rows(group, page, &kernels::SOFTMAX_STATS)?;
            }
            self.sweep(group, page, Phase::In)?;
        }
        self.meet(group)?;
        if self.options.reduction != Reduction::None {
            self.reduce(group)?;
        }
        if self.task == Task::Loss {
            return Ok(());
        }
        for page in (0..pages).rev() {
            let page = self.segment(page);
            if paged {
                if self.tiling.gathered {
                    self.rows(group, page, &kernels::SOFTMAX_STATS)?;
                }
                self.sweep(group, page, Phase::Again)?;
            }
            self.sweep(group, page, Phase::Out)?;
            self.rows(group, page, &kernels::GRAD)?;
        }
        Ok(())
    }

    /// The steps of a page.
    pub(super) fn segment(&self, index: u64) -> Segment {
        let first = index * self.tiling.segment_steps;
        let end = (first + self.tiling.segment_steps).min(self.tiling.steps);
        Segment { index, first, end }
    }

    pub(super) fn all(&self) -> Segment {
        Segment {
            index: 0,
            first: 0,
            end: self.tiling.steps,
        }
    }

    /// Takes a step, if its grid is one that the device dispatches, and if there are not too many.
    pub(super) fn push(&mut self, step: Step) -> Result<(), PlanError> {
        if self.steps.len() == MOST_STEPS {
            return Err(PlanError::Dispatches {
                items: self.shape.items,
                // Of a time-major batch an item's frames lie apart by all items: fewer may have fewer chunks.
                most: self.shape.items / 2,
            });
        }
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
            label_capacity: word(self.tiling.width),
            quads: word(self.tiling.quads),
            spill_row: word(self.tiling.spill_row()),
            ..Params::default()
        }
    }

    pub(super) fn tile_params(&self, group: Tile) -> Params {
        Params {
            tile_items: word(group.count),
            first_item: word(group.first),
            ..self.params()
        }
    }

    pub(super) fn segment_params(&self, group: Tile, page: Segment) -> Params {
        Params {
            segment_begin: word(page.first),
            segment_end: word(page.end),
            ..self.tile_params(group)
        }
    }

    /// The rows of frames `frame..frame + count` of the group: what of the input to bind, and the parameters that tell
    /// where in it they are.
    pub(super) fn row_params(
        &self,
        group: Tile,
        page: Segment,
        frame: u64,
        count: u64,
    ) -> (Span, Params) {
        let (span, base) = self
            .tiling
            .input_span(group.first, group.count, frame, count);
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
            ..self.segment_params(group, page)
        };
        (span, params)
    }

    /// The workspace's tables, and what `other` says of the caller's buffers.
    pub(super) fn spans(&self, kernel: &Kernel, other: impl Fn(ArrayId) -> Span) -> Vec<Span> {
        let span = |&(array, _): &(ArrayId, _)| {
            if array.is_external() {
                other(array)
            } else {
                Span::Table
            }
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

    pub(super) fn distinct(&self) -> u32 {
        (self.options.repeated_outputs == RepeatedOutputs::Distinct).into()
    }
}

/// Lanes that share `frames` of `classes`, so that each has about four entries: a power of two that a workgroup of `most`
/// has. A CPU's are those of a vector, which do not wait for others. Of the batch's sizes only C may count here: the order
/// of a sum must not depend on what else is in the batch.
pub(super) fn row_lanes(frames: u64, classes: u64, most: u64, limits: &DeviceLimits) -> u64 {
    let most = if limits.software && classes < LONG_FOR_A_CPU {
        8
    } else {
        most
    };
    let wanted = frames * classes / 4;
    wanted.clamp(8, most).next_power_of_two().min(most)
}

/// Classes of which a vector's lanes would make too long a loop.
const LONG_FOR_A_CPU: u64 = 1 << 18;

/// A number that the tiling keep below 2^31.
pub(super) fn word(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
