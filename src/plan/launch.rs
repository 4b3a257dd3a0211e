//! A plan for frameworks that launch kernels themselves.

use super::{Plan, Span, Step};
use crate::kernels::{Slot, Text};

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
    ReadLabels,
    /// Of a greedy reading, `[N]`, written.
    ReadLengths,
    /// Of a greedy reading, `[N, T, 2]`, written.
    ReadFrames,
    /// The table of this number, of [`Plan::tables`].
    Table(usize),
}

/// A binding of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Bound {
    /// What it is a part of.
    pub operand: Operand,
    /// Where the part begins, in bytes: a multiple of the limits' offset alignment.
    pub offset: u64,
    /// Its length; without one, to the operand's end.
    pub bytes: Option<u64>,
}

/// A dispatch as a text and what it binds, with nothing else to set.
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
    pub bindings: Vec<Bound>,
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
    /// for a status. Plan with `subgroup: 0` in the [`Limits`](crate::Limits) where the device has no subgroups, and with
    /// the offset alignment that its bindings have.
    ///
    /// Not for browsers: their compilers let no barrier depend on what was read from a binding that is declared as written.
    ///
    /// ```
    /// use ctc_wgpu::{Goal, Limits, Operand, Options, Plan, Shape};
    /// let plan = Plan::new(&Shape::new(32, 50, 20, 6), &Options::default(), Goal::LossAndGrad, &Limits::default())?;
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
        let text = Text {
            subgroups: step.subgroups,
            ..self.text()
        };
        let constant = |name| {
            let mut constants = step.constants.iter();
            let found = constants.find(|(constant, _)| *constant == name);
            found.map_or(1, |(_, value)| *value)
        };
        let bindings = step.kernel.bindings.iter().zip(&step.spans);
        Launch {
            name: step.kernel.name,
            wgsl: step.kernel.fixed(text, &step.constants, &step.params),
            workgroup_size: [constant("LANES"), constant("ROWS"), 1],
            grid: step.grid,
            bindings: bindings
                .map(|((slot, _), span)| self.bound(*slot, *span))
                .collect(),
        }
    }

    fn bound(&self, slot: Slot, span: Span) -> Bound {
        let operand = match slot {
            Slot::Input => Operand::Logits,
            Slot::Labels => Operand::Labels,
            Slot::LogitLengths => Operand::LogitLengths,
            Slot::LabelLengths => Operand::LabelLengths,
            Slot::Weights => Operand::Weights,
            Slot::Loss => Operand::Loss,
            Slot::Status => Operand::Status,
            Slot::Reduced => Operand::Reduced,
            Slot::Grad => Operand::Grad,
            Slot::Path => Operand::Path,
            Slot::LogProbs => Operand::LogProbs,
            Slot::Spans => Operand::Spans,
            Slot::Probabilities => Operand::Probabilities,
            Slot::ReadLabels => Operand::ReadLabels,
            Slot::ReadLengths => Operand::ReadLengths,
            Slot::ReadFrames => Operand::ReadFrames,
            table => Operand::Table(
                // A plan has a table for each slot that it binds; past the end there would be none to bind.
                (self.tables.iter().position(|known| known.slot == table))
                    .unwrap_or(self.tables.len()),
            ),
        };
        let (offset, bytes) = match span {
            Span::Range { offset, bytes } => (offset, Some(bytes)),
            Span::Rest | Span::Table => (0, None),
        };
        Bound {
            operand,
            offset,
            bytes,
        }
    }
}
