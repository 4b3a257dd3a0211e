//! A plan for frameworks that launch kernels themselves.

use super::{Plan, Span, Step};
use crate::kernels::{ArrayId, SourceVariant};

/// What a launch binds: one of the caller's arrays, as [`Buffers`](crate::Buffers) has them, or a table of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operand {
    /// `[N, T, C]` or `[T, N, C]`, read.
    Logits,
    /// `[N, Lmax]` or `[ΣL]`, read.
    Labels,
    /// `[N]`, read.
    LogitLengths,
    /// `[N]`, read.
    LabelLengths,
    /// `[N]`, read.
    Weights,
    /// `[N]`, written.
    Loss,
    /// `[N]`, written.
    Status,
    /// `[1]`, written.
    Reduced,
    /// As the logits, written.
    Grad,
    /// Of an alignment, `[N, T]`, written.
    Path,
    /// Of an alignment, `[N, T]`, written.
    LogProbs,
    /// Of an alignment, `[N, Lmax, 2]`, written.
    Spans,
    /// Of an alignment, `[N, Lmax]`, written.
    Probabilities,
    /// Of a greedy reading, `[N, T]`, written.
    HypothesisLabels,
    /// Of a greedy reading, `[N]`, written.
    HypothesisLengths,
    /// Of a greedy reading, `[N, T, 2]`, written.
    HypothesisFrames,
    /// The table of this number, of [`Plan::tables`].
    Table(usize),
}

/// A binding of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BoundRange {
    /// What it is a part of.
    pub operand: Operand,
    /// Where the part begins, in bytes: a multiple of the limits' offset alignment.
    pub offset: u64,
    /// Its length; without one, to the operand's end.
    pub bytes: Option<u64>,
}

/// A dispatch as a variant and what it binds, with nothing else to set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The kernel, which is its entry point's name.
    pub name: &'static str,
    /// Its WGSL, in which the batch's sizes are constants. All bindings are in group 0 and `read_write`.
    pub wgsl: String,
    /// Invocations of a workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroups.
    pub grid: [u32; 3],
    /// What stands at bindings 0, 1, …
    pub bindings: Vec<BoundRange>,
}

impl Plan {
    /// The bytes of each table of the workspace. Nothing need be in them before a batch, and nothing is kept there.
    pub fn tables(&self) -> impl Iterator<Item = u64> {
        self.tables.iter().map(|table| table.bytes)
    }

    /// The dispatches, one after the other, for frameworks that launch WGSL by themselves and bind arrays that may all lie
    /// in one buffer. With wgpu's own types [`GpuPlan`](crate::GpuPlan) does better: its pipelines serve batches of all sizes.
    ///
    /// Every operand that a launch names must be there: lengths of `T` and weights of 1 where the batch has none, and room
    /// for a status. Plan with `subgroup_size: 0` in the [`DeviceLimits`](crate::DeviceLimits) where the device has no subgroups, and with
    /// the offset alignment that its bindings have.
    ///
    /// Not for browsers: their compilers let no barrier depend on what was read from a binding that is declared as written.
    ///
    /// ```
    /// use ctc_wgpu::{Task, DeviceLimits, Operand, Options, Plan, BatchShape};
    /// let plan = Plan::new(&BatchShape::new(32, 50, 20, 6), &Options::default(), Task::LossAndGrad, &DeviceLimits::default())?;
    /// for launch in plan.launches() {
    ///     println!("{} in {:?} workgroups of {:?}", launch.name, launch.grid, launch.workgroup_size);
    ///     assert!(launch.wgsl.contains("@binding(0) var<storage, read_write>"));
    /// }
    /// let last = plan.launches().last().expect("a plan of a batch has dispatches");
    /// assert_eq!(last.bindings[1].operand, Operand::Grad);
    /// # Ok::<(), ctc_wgpu::PlanError>(())
    /// ```
    pub fn launches(&self) -> impl Iterator<Item = Launch> {
        self.steps.iter().map(|step| self.launch(step))
    }

    fn launch(&self, step: &Step) -> Launch {
        let variant = SourceVariant {
            subgroups: step.subgroups,
            ..self.source_variant()
        };
        let size = |constant| step.constant(constant).unwrap_or(1);
        let bindings = step.kernel.bindings.iter().zip(&step.spans);
        Launch {
            name: step.kernel.name,
            wgsl: step
                .kernel
                .specialised(variant, &step.constants, &step.params),
            workgroup_size: [size("LANES"), size("ROWS"), 1],
            grid: step.grid,
            bindings: bindings
                .map(|((array, _), span)| self.bound(*array, *span))
                .collect(),
        }
    }

    fn bound(&self, array: ArrayId, span: Span) -> BoundRange {
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
            table => Operand::Table(
                // A plan has a table for each array that it binds; past the end there would be none to bind.
                (self.tables.iter().position(|known| known.array == table))
                    .unwrap_or(self.tables.len()),
            ),
        };
        let (offset, bytes) = match span {
            Span::Range { offset, bytes } => (offset, Some(bytes)),
            Span::Rest | Span::Table => (0, None),
        };
        BoundRange {
            operand,
            offset,
            bytes,
        }
    }
}
