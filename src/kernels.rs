//! The table of kernels: a row a stage. Nothing else knows a binding's number.

mod decode;
mod fixed;
mod shader;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use decode::{ALIGN, ALIGN_LONG, GREEDY, PATH, SCORE, SPANS, TRACE};
#[cfg(test)]
pub(crate) use shader::texts;
pub use shader::{Shader, shaders};
pub use text::Element;
pub(crate) use text::{Sharing, Text, for_browsers};

use Access::{Read, Write};
use text::Part;
use text::Part::Shared;

/// What a binding is bound to: the caller's buffers first, then the workspace's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Slot {
    Input,
    Labels,
    LogitLengths,
    LabelLengths,
    Weights,
    Loss,
    Status,
    Reduced,
    Path,
    LogProbs,
    Spans,
    Probabilities,
    ReadLabels,
    ReadLengths,
    ReadFrames,
    Grad,
    Sums,
    Items,
    Verdicts,
    Exponents,
    LabelTable,
    Heads,
    RowStats,
    Carry,
    Gathered,
    Lattice,
    Moves,
    States,
    Cursors,
}

impl Slot {
    /// Whether the caller's buffer stands there, which may be the same `wgpu::Buffer` as another slot's.
    pub(crate) fn is_external(self) -> bool {
        self <= Self::Grad
    }

    /// Whether the stages write it for the caller.
    pub(crate) fn is_written(self) -> bool {
        (Self::Loss..=Self::Grad).contains(&self)
    }

    /// The name in [`Buffers`](crate::Buffers), or of the workspace's table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "logits",
            Self::Labels => "labels",
            Self::LogitLengths => "logit_lengths",
            Self::LabelLengths => "label_lengths",
            Self::Weights => "weights",
            Self::Loss => "loss",
            Self::Status => "status",
            Self::Reduced => "reduced",
            Self::Path => "path",
            Self::LogProbs => "log_probs",
            Self::Spans => "spans",
            Self::Probabilities => "probabilities",
            Self::ReadLabels => "read_labels",
            Self::ReadLengths => "read_lengths",
            Self::ReadFrames => "read_frames",
            Self::Grad => "grad",
            Self::Sums => "sums",
            Self::Items => "items",
            Self::Verdicts => "verdicts",
            Self::Exponents => "exponents",
            Self::LabelTable => "label_table",
            Self::Heads => "heads",
            Self::RowStats => "row_stats",
            Self::Carry => "carry",
            Self::Gathered => "gathered",
            Self::Lattice => "lattice",
            Self::Moves => "moves",
            Self::States => "states",
            Self::Cursors => "cursors",
        }
    }
}

/// Whether a stage only reads a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A stage's kernel. The entry point has the kernel's name; binding 0 is the uniform `Params`, the rest follow in order.
#[derive(PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) bindings: &'static [(Slot, Access)],
    parts: &'static [Part],
    stage: &'static str,
}

/// By name: a plan that is printed for diagnosis should not print every shader.
impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const STATES: &str = include_str!("../shaders/shared/states.wgsl");
const ROWS: &str = include_str!("../shaders/shared/rows.wgsl");
const CONVENTION: &str = include_str!("../shaders/shared/convention.wgsl");
const FRAMES: &str = include_str!("../shaders/shared/frames.wgsl");
const TABLES: &str = include_str!("../shaders/shared/tables.wgsl");
const PASSED_BARRIER: &str = include_str!("../shaders/shared/passed_barrier.wgsl");
const PASSED_SUBGROUP: &str = include_str!("../shaders/shared/passed_subgroup.wgsl");
const FOLD_BARRIER: &str = include_str!("../shaders/shared/fold_barrier.wgsl");
const FOLD_FRAMES_BARRIER: &str = include_str!("../shaders/shared/fold_frames_barrier.wgsl");
const FOLD_FRAMES_SUBGROUP: &str = include_str!("../shaders/shared/fold_frames_subgroup.wgsl");
const FOLD_SUBGROUP: &str = include_str!("../shaders/shared/fold_subgroup.wgsl");

pub(crate) static TOTALS: Kernel = Kernel {
    name: "totals",
    bindings: &[
        (Slot::LabelLengths, Read),
        (Slot::Weights, Read),
        (Slot::Sums, Write),
    ],
    parts: &[],
    stage: include_str!("../shaders/totals.wgsl"),
};

pub(crate) static LABELS: Kernel = Kernel {
    name: "labels",
    bindings: &[
        (Slot::Labels, Read),
        (Slot::LogitLengths, Read),
        (Slot::LabelLengths, Read),
        (Slot::Weights, Read),
        (Slot::Sums, Read),
        (Slot::Items, Write),
        (Slot::Verdicts, Write),
        (Slot::LabelTable, Write),
    ],
    parts: &[],
    stage: include_str!("../shaders/labels.wgsl"),
};

pub(crate) static CHAIN: Kernel = Kernel {
    name: "chain",
    bindings: &[
        (Slot::Items, Read),
        (Slot::LabelTable, Write),
        (Slot::Heads, Write),
    ],
    parts: &[],
    stage: include_str!("../shaders/chain.wgsl"),
};

pub(crate) static STATS: Kernel = Kernel {
    name: "stats",
    bindings: &[
        (Slot::Input, Read),
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Verdicts, Write),
        (Slot::RowStats, Write),
        (Slot::Gathered, Write),
    ],
    parts: &[
        Part::Input,
        Shared(CONVENTION),
        Shared(ROWS),
        Part::Lanes(FOLD_BARRIER, FOLD_SUBGROUP),
    ],
    stage: include_str!("../shaders/stats.wgsl"),
};

const SWEEP_BINDINGS: &[(Slot, Access)] = &[
    (Slot::Input, Read),
    (Slot::Items, Read),
    (Slot::LabelTable, Read),
    (Slot::RowStats, Read),
    (Slot::Gathered, Read),
    (Slot::Lattice, Write),
    (Slot::Carry, Write),
    (Slot::Exponents, Read),
];

pub(crate) static SWEEP: Kernel = Kernel {
    name: "sweep",
    bindings: SWEEP_BINDINGS,
    parts: &[
        Part::Input,
        Shared(CONVENTION),
        Shared(STATES),
        Shared(FRAMES),
        Shared(TABLES),
        Part::Lanes(PASSED_BARRIER, PASSED_SUBGROUP),
    ],
    stage: include_str!("../shaders/sweep.wgsl"),
};

pub(crate) static SWEEP_LONG: Kernel = Kernel {
    name: "sweep_long",
    bindings: SWEEP_BINDINGS,
    parts: &[
        Part::Input,
        Shared(CONVENTION),
        Shared(STATES),
        Shared(FRAMES),
        Shared(TABLES),
        Shared(PASSED_BARRIER),
    ],
    stage: include_str!("../shaders/sweep_long.wgsl"),
};

pub(crate) static MEET: Kernel = Kernel {
    name: "meet",
    bindings: &[
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Carry, Read),
        (Slot::RowStats, Read),
        (Slot::Verdicts, Write),
        (Slot::Loss, Write),
        (Slot::Status, Write),
        (Slot::Exponents, Write),
    ],
    parts: &[Shared(CONVENTION), Shared(STATES)],
    stage: include_str!("../shaders/meet.wgsl"),
};

pub(crate) static REDUCE: Kernel = Kernel {
    name: "reduce",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Loss, Read),
        (Slot::Reduced, Write),
    ],
    parts: &[],
    stage: include_str!("../shaders/reduce.wgsl"),
};

pub(crate) static GRAD: Kernel = Kernel {
    name: "grad",
    bindings: &[
        (Slot::Input, Read),
        (Slot::Grad, Write),
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Heads, Read),
        (Slot::Verdicts, Read),
        (Slot::Lattice, Read),
        (Slot::RowStats, Read),
    ],
    parts: &[
        Part::Gradient,
        Shared(CONVENTION),
        Shared(ROWS),
        Part::Lanes(FOLD_FRAMES_BARRIER, FOLD_FRAMES_SUBGROUP),
    ],
    stage: include_str!("../shaders/grad.wgsl"),
};

/// All kernels, in the order of the pipelines: the loss's, then those of alignment and of greedy decoding.
pub(crate) static KERNELS: [&Kernel; 16] = [
    &TOTALS,
    &LABELS,
    &CHAIN,
    &STATS,
    &SWEEP,
    &SWEEP_LONG,
    &MEET,
    &REDUCE,
    &GRAD,
    &ALIGN,
    &ALIGN_LONG,
    &TRACE,
    &PATH,
    &SPANS,
    &SCORE,
    &GREEDY,
];
