//! A plan: which kernels run, in what order, on what part of the batch, and how much workspace they share.
//!
//! A plan is plain data, made from a [`BatchShape`], [`Options`] and [`DeviceLimits`] without a device; it prints, and encoding it
//! decides nothing. Three tiling keep a batch within a device's limits:
//!
//! - **groups** of items, one after the other through the same workspace, where a table of all items would not fit a
//!   binding;
//! - **pages** of steps, where a single item's table would not: its rows are made twice, once to find the states at which
//!   pages begin, and once page by page;
//! - **chunks** of frames, where the input of a group would not: what the sweeps need of it is gathered then.

use std::fmt;

use crate::batch::BatchShape;
use crate::error::{ParameterError, PlanError};
use crate::kernels::{ArrayId, Kernel, Shader, SourceVariant};
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::params::Params;

mod build;
mod check;
mod decode;
mod launch;
mod stages;
#[cfg(test)]
mod tests;
mod tiling;

pub use launch::{BoundRange, Launch, Operand};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// The losses: the recursion stops where alpha and beta meet.
    Loss,
    /// The losses and the gradient.
    LossAndGrad,
    /// The likeliest path through the labels, and where each label stands on it.
    Align,
    /// The labels that the likeliest class of each frame makes; the batch's own labels are not looked at.
    Greedy,
}

impl Task {
    /// Whether states are followed from frame to frame, in both directions or in one.
    fn has_states(self) -> bool {
        self != Self::Greedy
    }

    /// Whether losses come of it, and so a reduction.
    fn is_loss(self) -> bool {
        matches!(self, Self::Loss | Self::LossAndGrad)
    }

    /// Alpha and beta; an alignment goes from the first frame to the last.
    fn directions(self) -> u64 {
        if self.is_loss() { 2 } else { 1 }
    }
}

/// The dispatches for batches of one shape.
///
/// ```
/// use ctc_wgpu::{Task, DeviceLimits, Options, Plan, BatchShape};
/// let plan = Plan::new(&BatchShape::new(32, 50, 20, 6), &Options::default(), Task::LossAndGrad, &DeviceLimits::default())?;
/// assert_eq!(plan.dispatches(), 7);
/// println!("{plan}");
/// # Ok::<(), ctc_wgpu::PlanError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) shape: BatchShape,
    pub(crate) options: Options,
    pub(crate) task: Task,
    pub(crate) tables: Vec<Table>,
    pub(crate) steps: Vec<Step>,
    batch_tiles: usize,
    segments: usize,
    input_slices: usize,
}

/// A table of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) array: ArrayId,
    pub(crate) bytes: u64,
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) kernel: &'static Kernel,
    /// What the profiler and the print-out call it.
    pub(crate) label: &'static str,
    /// Whether its text asks for subgroups.
    pub(crate) subgroups: bool,
    pub(crate) constants: Vec<(&'static str, u32)>,
    pub(crate) params: Params,
    pub(crate) grid: [u32; 3],
    /// One for each binding of the kernel.
    pub(crate) spans: Vec<Span>,
    pub(crate) iterations: Iterations,
}

/// What of a slot is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// The caller's buffer, this range of it, counted from the offset that the caller gives.
    Range { offset: u64, bytes: u64 },
    /// The caller's buffer, as far as it goes.
    Rest,
    /// A table of the workspace.
    Table,
}

/// How often one invocation goes round its loops, all together.
///
/// llvmpipe ends all loops of an invocation, silently, after 65,535 rounds, exit checks included; GPUs are reset when
/// a dispatch takes seconds. A step cannot be made without this number, and the number cannot pass the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Iterations(u32);

impl Iterations {
    pub(crate) const MAX: u32 = 60_000;

    /// `Err` names the axis that is too long to be cut.
    fn bounded(rounds: u64, axis: &'static str, value: u64) -> Result<Self, PlanError> {
        match u32::try_from(rounds) {
            Ok(rounds) if rounds <= Self::MAX => Ok(Self(rounds)),
            _ => Err(ParameterError::Axis {
                axis,
                value,
                rule: "short enough for the 60,000 rounds that a driver allows a loop",
            }
            .into()),
        }
    }

    pub(crate) fn count(self) -> u32 {
        self.0
    }
}

impl Plan {
    /// Plans batches of `shape` within `limits`.
    ///
    /// # Errors
    /// If the shape or the options make no sense, or if the limits are below what any plan needs.
    pub fn new(
        shape: &BatchShape,
        options: &Options,
        task: Task,
        limits: &DeviceLimits,
    ) -> Result<Self, PlanError> {
        build::plan(shape, options, task, limits)
    }

    /// The shape that this plan is for.
    #[must_use]
    pub fn shape(&self) -> &BatchShape {
        &self.shape
    }

    /// The options that this plan is for.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What is computed.
    #[must_use]
    pub fn task(&self) -> Task {
        self.task
    }

    /// The bytes of GPU memory that the plan's tables take, all together.
    #[must_use]
    pub fn workspace_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// The kernels' texts that it asks for where each buffer is apart.
    pub(crate) fn source_variant(&self) -> SourceVariant {
        SourceVariant {
            element: self.shape.element,
            ..SourceVariant::PLAIN
        }
    }

    /// How many dispatches run a batch.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// The shader of each dispatch, where each buffer is apart, and the values that its pipeline gives to its overrides.
    pub fn shaders(&self) -> impl Iterator<Item = (Shader, &[(&'static str, u32)])> {
        self.steps.iter().map(|step| {
            let variant = SourceVariant {
                subgroups: step.subgroups,
                ..self.source_variant()
            };
            (Shader::new(step.kernel, variant), step.constants.as_slice())
        })
    }

    /// Into how many groups of items the batch is cut.
    #[must_use]
    pub fn batch_tiles(&self) -> usize {
        self.batch_tiles
    }

    /// Into how many pages the tables over frames are cut; with more than one, rows of states are made twice.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Into how many chunks the input of a group is cut.
    #[must_use]
    pub fn input_slices(&self) -> usize {
        self.input_slices
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchShape {
            items,
            frames,
            classes,
            max_labels,
            ..
        } = self.shape;
        writeln!(
            f,
            "{:?} of N = {items}, T = {frames}, C = {classes}, Lmax = {max_labels}: {} dispatches, {:.1} MiB of workspace",
            self.task,
            self.dispatches(),
            self.workspace_bytes() as f64 / f64::from(1 << 20),
        )?;
        writeln!(
            f,
            "batch tiles: {}, segments: {}, input slices: {}",
            self.batch_tiles, self.segments, self.input_slices
        )?;
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            let mut times = 1;
            while steps.next_if(|next| next.label == step.label).is_some() {
                times += 1;
            }
            let [x, y, z] = step.grid;
            let iterations = step.iterations.count();
            write!(
                f,
                "  {:<17}{times:>4} × {x} × {y} × {z}, {iterations} iterations ",
                step.label
            )?;
            if !step.label.starts_with(step.kernel.name) {
                write!(f, "  by {}", step.kernel.name)?;
            }
            if step.subgroups {
                f.write_str("  with subgroups")?;
            }
            for (name, value) in &step.constants {
                write!(f, "  {name} {value}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
