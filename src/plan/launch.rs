//! Launches: the dispatches of a plan, for frameworks that launch kernels themselves.

use super::{BindingRange, Plan, PlannedDispatch};
use crate::kernels::ArrayId;

/// An array that a launch binds: one of the caller's or one of the workspace.
///
/// The caller's are the fields of [`Buffers`](crate::Buffers),
/// [`AlignBuffers`](crate::AlignBuffers) and [`GreedyBuffers`](crate::GreedyBuffers), whose
/// documentation defines their contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operand {
    /// f32 or f16 `[N, T, C]` or `[T, N, C]`, read.
    Logits,
    /// i32 `[N, Lmax]` or `[ΣL]`, read.
    Labels,
    /// i32 `[N]`, read.
    LogitLengths,
    /// i32 `[N]`, read.
    LabelLengths,
    /// f32 `[N]`, read.
    Weights,
    /// f32 `[N]`, written: the losses, or the `path_log_prob` of alignment and greedy decoding.
    Loss,
    /// u32 `[N]`, written: the codes of [`Status`](crate::Status).
    Status,
    /// f32 `[1]`, written.
    Reduced,
    /// Same type and shape as the logits, written.
    Grad,
    /// Alignment: i32 `[N, T]`, written.
    Path,
    /// Alignment: f32 `[N, T]`, written.
    LogProbs,
    /// Alignment: u32 `[N, Lmax, 2]`, written.
    Spans,
    /// Alignment: f32 `[N, Lmax]`, written.
    Probabilities,
    /// Greedy decoding, `labels`: i32 `[N, T]`, written.
    HypothesisLabels,
    /// Greedy decoding, `label_lengths`: u32 `[N]`, written.
    HypothesisLengths,
    /// Greedy decoding, `frames`: u32 `[N, T, 2]`, written.
    HypothesisFrames,
    /// The workspace array with this index in [`Plan::workspace_arrays`].
    Workspace(usize),
}

/// A binding of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BoundRange {
    /// The array.
    pub operand: Operand,
    /// The offset in bytes: a multiple of the limits'
    /// [`offset_alignment`](crate::DeviceLimits::offset_alignment).
    pub offset: u64,
    /// The length in bytes; `None` for the rest of the array.
    pub bytes: Option<u64>,
}

/// A dispatch as a specialised shader and its bindings. It has no uniform and no override
/// constants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The name of the kernel and of its entry point.
    pub name: &'static str,
    /// The WGSL source, in which the batch's sizes are constants. All bindings are `read_write` and
    /// in group 0.
    pub wgsl: String,
    /// The size of a workgroup in invocations.
    pub workgroup_size: [u32; 3],
    /// The number of workgroups per dimension.
    pub grid: [u32; 3],
    /// The ranges at bindings 0, 1, ….
    pub bindings: Vec<BoundRange>,
}

impl Plan {
    /// Returns the size in bytes of each array of the workspace. The arrays need no initial
    /// contents, and no batch uses the contents that an earlier one left.
    pub fn workspace_arrays(&self) -> impl Iterator<Item = u64> {
        self.workspace.iter().map(|array| array.bytes)
    }

    /// Returns the dispatches in order, for frameworks that launch WGSL themselves and bind arrays
    /// that may all lie in one buffer. With wgpu's own types, use [`GpuPlan`](crate::GpuPlan): its
    /// pipelines serve batches of all sizes.
    ///
    /// Every operand of a launch is required: bind lengths of `T` and weights of 1 if the batch has
    /// none, and a buffer for the status. The gradient must not overwrite the logits. Plan with
    /// `subgroup_size: 0` in the [`DeviceLimits`](crate::DeviceLimits) if the device has no
    /// subgroups, and with the offset alignment of the framework's bindings.
    ///
    /// Browsers reject these shaders: their compilers do not accept a barrier that depends on a
    /// value read from a writable binding.
    ///
    /// ```
    /// use ctc_wgpu::{Task, DeviceLimits, Operand, Options, Plan, BatchShape};
    /// let shape = BatchShape::new(32, 50, 20, 6);
    /// let limits = DeviceLimits::default();
    /// let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits)?;
    /// for launch in plan.launches() {
    ///     println!("{} in {:?} workgroups of {:?}", launch.name, launch.grid, launch.workgroup_size);
    ///     assert!(launch.wgsl.contains("@binding(0) var<storage, read_write>"));
    /// }
    /// let last = plan.launches().last().expect("a plan of a batch has dispatches");
    /// assert_eq!(last.bindings[6].operand, Operand::Grad);
    /// # Ok::<(), ctc_wgpu::PlanError>(())
    /// ```
    pub fn launches(&self) -> impl Iterator<Item = Launch> {
        self.dispatches.iter().map(|dispatch| self.launch(dispatch))
    }

    fn launch(&self, dispatch: &PlannedDispatch) -> Launch {
        let variant = dispatch.source_variant(self.source_variant());
        let size = |constant| dispatch.constant(constant).unwrap_or(1);
        let bindings = dispatch.kernel.bindings.iter().zip(&dispatch.ranges);
        let bindings = bindings
            .enumerate()
            .filter(|(index, _)| dispatch.kernel.access(*index, variant).is_some());
        Launch {
            name: dispatch.kernel.name,
            wgsl: dispatch
                .kernel
                .specialised(variant, &dispatch.constants, &dispatch.params),
            workgroup_size: [size("LANES"), size("ROWS"), 1],
            grid: dispatch.grid,
            bindings: bindings
                .map(|(_, ((array, _), range))| self.bound_range(*array, *range))
                .collect(),
        }
    }

    fn bound_range(&self, array: ArrayId, range: BindingRange) -> BoundRange {
        let operand = match array {
            ArrayId::Input => Operand::Logits,
            ArrayId::Labels => Operand::Labels,
            ArrayId::LogitLengths => Operand::LogitLengths,
            ArrayId::LabelLengths => Operand::LabelLengths,
            ArrayId::Weights => Operand::Weights,
            ArrayId::Loss => Operand::Loss,
            ArrayId::Status => Operand::Status,
            ArrayId::Reduced => Operand::Reduced,
            ArrayId::Grad => Operand::Grad,
            ArrayId::Path => Operand::Path,
            ArrayId::LogProbs => Operand::LogProbs,
            ArrayId::Spans => Operand::Spans,
            ArrayId::Probabilities => Operand::Probabilities,
            ArrayId::HypothesisLabels => Operand::HypothesisLabels,
            ArrayId::HypothesisLengths => Operand::HypothesisLengths,
            ArrayId::HypothesisFrames => Operand::HypothesisFrames,
            internal => Operand::Workspace(
                // The workspace has every internal array that a dispatch binds. The fallback, an
                // index past the end, is never used.
                (self.workspace.iter())
                    .position(|known| known.array == internal)
                    .unwrap_or(self.workspace.len()),
            ),
        };
        let (offset, bytes) = match range {
            BindingRange::Part { offset, bytes } => (offset, Some(bytes)),
            BindingRange::ToEnd | BindingRange::Workspace => (0, None),
        };
        BoundRange {
            operand,
            offset,
            bytes,
        }
    }
}
