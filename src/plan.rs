//! Plans: which kernels run, in what order, on what part of the batch, and with how much workspace.
//!
//! A plan is plain data, computed without a device from a [`BatchShape`], [`Options`] and
//! [`DeviceLimits`]. Recording it makes only one further decision: it selects the form of the
//! shader source for arrays that share a buffer. A batch that exceeds a limit of the device is
//! split in up to four ways:
//!
//! - **batch tiles**: if an array of all items would exceed a binding or, in the workspace, 1 GiB,
//!   tiles of items are processed one after the other, in the same workspace;
//! - **checkpoint segments**: if the states of a single item would exceed one of these limits, only
//!   those of one segment of steps are stored at a time. The stored states are computed twice:
//!   first to write a checkpoint at the start of each segment, then again, one segment after the
//!   other, from the checkpoints. Gathered entries (see the next point) are likewise stored for one
//!   segment at a time;
//! - **input slices**: if the input of a tile would exceed a binding, its frames are bound slice by
//!   slice, and the entries that the sweeps need are gathered into the workspace;
//! - **dispatch ranges**: if a recursion over steps or a sum over items would take too many loop
//!   iterations, each of several dispatches processes a range of the steps or items. If a dispatch
//!   could take longer than an operating system allows, a range of its steps or frames is smaller,
//!   or the tile has fewer items (`cost.rs`).

use std::fmt;

use crate::batch::BatchShape;
use crate::error::{ParameterError, PlanError};
use crate::kernels::{ArrayId, Kernel, Shader, SourceVariant, SweepForm};
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::params::Params;

mod build;
mod check;
mod cost;
mod decode;
mod launch;
mod stages;
mod sweep;
#[cfg(test)]
mod tests;
mod tiling;
mod variant;

pub(crate) use cost::WATCHDOG_US;
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
    /// Greedy decoding: the most probable class of each frame, collapsed to labels. Ignores the
    /// batch's labels.
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

    /// Returns the number of directions: 2 for a loss (alpha and beta), otherwise 1 (from the first
    /// frame).
    fn directions(self) -> u64 {
        if self.is_loss() { 2 } else { 1 }
    }
}

/// The dispatches that compute a [`Task`] for batches of one shape.
///
/// [`Display`](std::fmt::Display) prints the shape, the workspace, an upper estimate of the longest
/// dispatch on a slow integrated GPU (see
/// [`DeviceLimits::max_dispatch_us`](crate::DeviceLimits::max_dispatch_us)) and the split, then
/// one line for each sequence of dispatches of the same stage: their number, and for the first of
/// them the workgroups, the maximum number of loop iterations per invocation, the kernel, its
/// form and its constants. A stage has several lines if tiles or segments repeat it.
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
    /// The dispatches if the gradient overwrites the input; `None` if they are the same.
    pub(crate) in_place: Option<Vec<PlannedDispatch>>,
    /// True if `softmax_stats` reads vectors of four entries of the input.
    input_vectors: bool,
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
    /// [`SweepForm::QUADS`] unless the kernel is `sweep` or `viterbi`.
    pub(crate) sweep: SweepForm,
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

    /// Returns true for a dispatch of `softmax_stats` that also writes the gradient.
    fn writes_row_gradient(&self) -> bool {
        self.constant("WRITE_GRADIENT") == Some(1)
    }

    /// Returns the variant of the shader source, given what the dispatches of the plan share.
    pub(crate) fn source_variant(&self, shared: SourceVariant) -> SourceVariant {
        self.kernel.source_variant(SourceVariant {
            subgroups: self.subgroups,
            row_gradient: self.writes_row_gradient(),
            sweep: self.sweep,
            ..shared
        })
    }
}

/// The range of an array that a dispatch binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindingRange {
    /// Part of the caller's array; `offset` counts from the offset of the caller's binding.
    Part { offset: u64, bytes: u64 },
    /// The caller's array up to its end.
    ToEnd,
    /// A whole array of the workspace.
    Workspace,
}

/// The loop iterations of one invocation, summed over all of its loops.
///
/// llvmpipe ends all loops of an invocation, without an error, after 65,535 iterations; the check
/// that ends a loop counts as one too. Each [`PlannedDispatch`] therefore has this number, which
/// never exceeds [`MAX`](Self::MAX). The time of a dispatch is bounded separately (`cost.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Iterations(u32);

impl Iterations {
    /// The maximum, with a margin below llvmpipe's limit.
    pub(crate) const MAX: u32 = 60_000;

    /// Checks a number of iterations, which grows with the length `value` of `axis`.
    ///
    /// # Errors
    /// [`ParameterError::Axis`] if `iterations` is above [`MAX`](Self::MAX): `axis` is too long and
    /// cannot be split.
    fn bounded(iterations: u64, axis: &'static str, value: u64) -> Result<Self, PlanError> {
        match u32::try_from(iterations) {
            Ok(iterations) if iterations <= Self::MAX => Ok(Self(iterations)),
            _ => Err(ParameterError::Axis {
                axis,
                value,
                rule: "small enough for at most 60,000 loop iterations per invocation (driver limit)",
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
    /// If the shape or the options are invalid ([`PlanError::Parameter`]), if a limit is invalid or
    /// too low for any plan, or if the shape cannot be split to fit the limits
    /// ([`PlanError::Limit`], [`PlanError::Dispatches`]); [`PlanError`] lists all cases.
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

    /// Returns the longest estimate of a dispatch, in microseconds.
    fn longest_dispatch_us(&self) -> u64 {
        let element_bytes = self.shape.element.bytes();
        let dispatches = self.dispatches.iter();
        let estimates = dispatches.map(|dispatch| cost::microseconds(dispatch, element_bytes));
        estimates.max().unwrap_or(0)
    }

    /// Returns the variant of the shader source for buffers that do not alias, as far as all
    /// dispatches share it.
    pub(crate) fn source_variant(&self) -> SourceVariant {
        SourceVariant {
            element: self.shape.element,
            vectors: self.input_vectors,
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
            let variant = dispatch.source_variant(self.source_variant());
            (
                Shader::new(dispatch.kernel, variant),
                dispatch.constants.as_slice(),
            )
        })
    }

    /// Returns the number of batch tiles: groups of items, each of which is processed together.
    #[must_use]
    pub fn batch_tiles(&self) -> usize {
        self.batch_tiles
    }

    /// Returns the number of checkpoint segments. If there are several, every task but
    /// [`Task::Loss`] computes the stored states twice.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Returns the number of input slices: the ranges of frames that are bound one after the other
    /// if the input of a tile exceeds a binding.
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
            "dispatches: {}, workspace: {mebibytes:.1} MiB, longest dispatch on a slow GPU: {:.1} ms",
            self.dispatches.len(),
            self.longest_dispatch_us() as f64 / 1e3,
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

/// Writes the line of consecutive dispatches of one stage: `first` is the first of them, `count`
/// their number.
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
    if first.sweep != SweepForm::QUADS {
        let SweepForm { pairs, table, last } = first.sweep;
        let [table, last] = [table, last].map(u8::from);
        write!(f, ", PAIRS {}, TABLE {table}, LAST {last}", pairs.count())?;
    }
    for (name, value) in &first.constants {
        write!(f, ", {name} {value}")?;
    }
    writeln!(f)
}
