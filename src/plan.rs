//! Plans: which kernels run, in what order, on what part of the batch, and with how much workspace.
//!
//! A plan is plain data, computed without a device from a [`BatchShape`], [`Options`] and
//! [`DeviceLimits`]. Encoding it makes no further decisions. A batch that exceeds a limit of the
//! device is split in three ways:
//!
//! - **batch tiles**: where the workspace of all items would exceed a binding, tiles of items use
//!   the same workspace one after the other;
//! - **checkpoint segments**: where the states of a single item would exceed a binding, only those
//!   of one segment of steps are stored at a time. All states are computed twice, once to store
//!   those at which each segment begins, and once segment by segment;
//! - **input slices**: where the input of a tile would exceed a binding, its frames are bound slice
//!   by slice, and the inputs of the sweeps are gathered into the workspace.

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
mod variant;

pub use launch::{BoundRange, Launch, Operand};
pub use variant::PlanVariant;

/// A computation on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// The losses. The recursion stops at the middle frame, where alpha and beta are joined.
    Loss,
    /// The losses and the gradient.
    LossAndGrad,
    /// The most probable path through the labels (forced alignment), and the frames of each label.
    Align,
    /// Greedy decoding: the labels of the most probable class of each frame. Ignores the batch's
    /// labels.
    Greedy,
}

impl Task {
    /// Returns true if the task has a recursion over frames.
    fn has_states(self) -> bool {
        self != Self::Greedy
    }

    /// Returns true if the task computes losses, which can be reduced.
    fn is_loss(self) -> bool {
        matches!(self, Self::Loss | Self::LossAndGrad)
    }

    /// The number of recursions: alpha and beta for a loss, one from the first frame otherwise.
    fn directions(self) -> u64 {
        if self.is_loss() { 2 } else { 1 }
    }
}

/// The dispatches that compute a [`Task`] for batches of one shape.
///
/// [`Display`](std::fmt::Display) prints one line per stage: how many dispatches it has, and of the
/// first of them the workgroups, the loop iterations of an invocation at most, the kernel and the
/// kernel's constants.
///
/// ```
/// use ctc_wgpu::{Task, DeviceLimits, Options, Plan, BatchShape};
/// let shape = BatchShape::new(32, 50, 20, 6);
/// let limits = DeviceLimits::default();
/// let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits)?;
/// assert_eq!(plan.dispatches(), 7);
/// println!("{plan}");
/// # Ok::<(), ctc_wgpu::PlanError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) shape: BatchShape,
    pub(crate) options: Options,
    pub(crate) task: Task,
    pub(crate) workspace: Vec<WorkspaceArray>,
    pub(crate) dispatches: Vec<PlannedDispatch>,
    batch_tiles: usize,
    segments: usize,
    input_slices: usize,
}

/// An array of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkspaceArray {
    pub(crate) array: ArrayId,
    pub(crate) bytes: u64,
}

/// One dispatch of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedDispatch {
    pub(crate) kernel: &'static Kernel,
    /// The name of the stage, as profilers and the printed plan show it.
    pub(crate) label: &'static str,
    /// True if the shader source uses subgroup operations.
    pub(crate) subgroups: bool,
    pub(crate) constants: Vec<(&'static str, u32)>,
    pub(crate) params: Params,
    pub(crate) grid: [u32; 3],
    /// One range per binding of the kernel.
    pub(crate) ranges: Vec<BindingRange>,
    pub(crate) iterations: Iterations,
}

impl PlannedDispatch {
    /// Returns the value of a pipeline constant, if the kernel has it.
    fn constant(&self, name: &str) -> Option<u32> {
        let mut constants = self.constants.iter();
        constants.find_map(|(known, value)| (*known == name).then_some(*value))
    }
}

/// The range of an array that a dispatch binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindingRange {
    /// Part of the caller's array; `offset` counts from the offset of the caller's binding.
    Part { offset: u64, bytes: u64 },
    /// The caller's array up to its end.
    ToEnd,
    /// All of an array of the workspace.
    Workspace,
}

/// The loop iterations of one invocation, summed over all of its loops.
///
/// llvmpipe ends all loops of an invocation, without an error, after 65,535 iterations, exit checks
/// included; GPUs are reset if a dispatch takes seconds. A [`PlannedDispatch`] therefore requires
/// this number, which never exceeds [`MAX`](Self::MAX).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Iterations(u32);

impl Iterations {
    pub(crate) const MAX: u32 = 60_000;

    /// # Errors
    /// [`ParameterError::Axis`] with `axis` and its `value`, which cannot be split, if `iterations` is
    /// above the maximum.
    fn bounded(iterations: u64, axis: &'static str, value: u64) -> Result<Self, PlanError> {
        match u32::try_from(iterations) {
            Ok(iterations) if iterations <= Self::MAX => Ok(Self(iterations)),
            _ => Err(ParameterError::Axis {
                axis,
                value,
                rule: "short enough for at most 60,000 loop iterations per invocation (driver limit)",
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
    /// If the shape or the options are invalid, if a limit is too low for any plan, or if the shape
    /// cannot be split to fit the limits.
    pub fn new(
        shape: &BatchShape,
        options: &Options,
        task: Task,
        limits: &DeviceLimits,
    ) -> Result<Self, PlanError> {
        build::plan(shape, options, task, limits)
    }

    /// Returns the shape of the batches.
    #[must_use]
    pub fn shape(&self) -> &BatchShape {
        &self.shape
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the task.
    #[must_use]
    pub fn task(&self) -> Task {
        self.task
    }

    /// Returns the bytes of GPU memory that all arrays of the workspace take together.
    #[must_use]
    pub fn workspace_bytes(&self) -> u64 {
        self.workspace.iter().map(|array| array.bytes).sum()
    }

    /// Returns the variant of the shader source for buffers that do not alias.
    pub(crate) fn source_variant(&self) -> SourceVariant {
        SourceVariant {
            element: self.shape.element,
            ..SourceVariant::PLAIN
        }
    }

    /// Returns the number of dispatches per batch.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// Returns the shader of each dispatch, for buffers that do not alias, and the values of the
    /// pipeline's override constants.
    pub fn shaders(&self) -> impl Iterator<Item = (Shader, &[(&'static str, u32)])> {
        self.dispatches.iter().map(|dispatch| {
            let variant = SourceVariant {
                subgroups: dispatch.subgroups,
                ..self.source_variant()
            };
            (
                Shader::new(dispatch.kernel, variant),
                dispatch.constants.as_slice(),
            )
        })
    }

    /// Returns the number of batch tiles: the groups of items that are computed together.
    #[must_use]
    pub fn batch_tiles(&self) -> usize {
        self.batch_tiles
    }

    /// Returns the number of checkpoint segments. If there are several, every task but
    /// [`Task::Loss`] computes the states twice.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Returns the number of input slices: the ranges of frames that a tile's input is bound in.
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
        let task = match self.task {
            Task::Loss => "loss",
            Task::LossAndGrad => "loss and gradient",
            Task::Align => "alignment",
            Task::Greedy => "greedy decoding",
        };
        writeln!(
            f,
            "{task}: N = {items}, T = {frames}, C = {classes}, Lmax = {max_labels}"
        )?;
        let mebibytes = self.workspace_bytes() as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "dispatches: {}, workspace: {mebibytes:.1} MiB",
            self.dispatches.len()
        )?;
        writeln!(
            f,
            "batch tiles: {}, checkpoint segments: {}, input slices: {}",
            self.batch_tiles, self.segments, self.input_slices
        )?;
        writeln!(
            f,
            "  stage              dispatches  workgroups         loop iterations"
        )?;
        for stage in self.dispatches.chunk_by(|a, b| a.label == b.label) {
            write_stage(f, &stage[0], stage.len())?;
        }
        Ok(())
    }
}

/// Writes the line of a stage with `count` dispatches, of which `first` is the first.
fn write_stage(f: &mut fmt::Formatter<'_>, first: &PlannedDispatch, count: usize) -> fmt::Result {
    let [x, y, z] = first.grid;
    write!(
        f,
        "  {:<17}{count:>12}  {:<17}{:>17}  by {}",
        first.label,
        format!("{x} × {y} × {z}"),
        first.iterations.count(),
        first.kernel.name,
    )?;
    if first.subgroups {
        f.write_str(" with subgroups")?;
    }
    for (name, value) in &first.constants {
        write!(f, ", {name} {value}")?;
    }
    writeln!(f)
}
