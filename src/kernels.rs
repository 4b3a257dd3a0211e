//! The compute kernels: for each one its WGSL source and the arrays that it binds, in the order of
//! their binding numbers.
//!
//! The source of a kernel in `shaders` begins with a header that describes its inputs, outputs,
//! formula, grid and barriers.

mod decode;
mod shader;
mod source;
mod specialise;
#[cfg(test)]
mod tests;

pub(crate) use decode::{BACKTRACE, COLLAPSE, PATH, PATH_LOG_PROB, SPANS, VITERBI, VITERBI_LONG};
#[cfg(test)]
pub(crate) use shader::variants;
pub use shader::{Shader, shaders};
pub use source::ElementType;
pub(crate) use source::{Aliasing, Pairs, SourceVariant, SweepForm, for_browsers};

use Access::{Read, Write};
use source::SourcePart;
use source::SourcePart::Shared;

/// An array that kernels bind. The order is significant: the caller's inputs, the caller's outputs
/// (from `Loss` to `Grad`), then the arrays of the workspace, whose layouts
/// `shaders/shared/index.wgsl` describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ArrayId {
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
    HypothesisLabels,
    HypothesisLengths,
    HypothesisFrames,
    Grad,
    Totals,
    Items,
    ItemStatus,
    FinalStatus,
    LabelTable,
    NextLabel,
    FirstOfClass,
    RowStats,
    Carry,
    Gathered,
    Lattice,
    Backpointers,
    States,
    BacktraceStates,
}

impl ArrayId {
    /// Returns true for the caller's buffers. Several of them may be ranges of one `wgpu::Buffer`.
    pub(crate) fn is_external(self) -> bool {
        self <= Self::Grad
    }

    /// Returns true for the caller's buffers that are outputs.
    pub(crate) fn is_written(self) -> bool {
        (Self::Loss..=Self::Grad).contains(&self)
    }

    /// Returns the name of the array, which the debug labels of wgpu buffers contain. If the array
    /// is a field of [`Buffers`](crate::Buffers), it is the name of the field.
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
            Self::HypothesisLabels => "hypothesis_labels",
            Self::HypothesisLengths => "hypothesis_lengths",
            Self::HypothesisFrames => "hypothesis_frames",
            Self::Grad => "grad",
            Self::Totals => "totals",
            Self::Items => "items",
            Self::ItemStatus => "item_status",
            Self::FinalStatus => "final_status",
            Self::LabelTable => "label_table",
            Self::NextLabel => "next_label",
            Self::FirstOfClass => "first_of_class",
            Self::RowStats => "row_stats",
            Self::Carry => "carry",
            Self::Gathered => "gathered",
            Self::Lattice => "lattice",
            Self::Backpointers => "backpointers",
            Self::States => "states",
            Self::BacktraceStates => "backtrace_states",
        }
    }
}

/// The access of a kernel to an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    /// Writes, and may also read.
    Write,
}

/// A compute kernel.
#[derive(PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The name of the kernel and of its entry point.
    pub(crate) name: &'static str,
    /// The arrays at the bindings from 1 on. Binding 0 is the uniform
    /// [`Params`](crate::params::Params).
    pub(crate) bindings: &'static [(ArrayId, Access)],
    /// The sources that precede the kernel's own.
    shared: &'static [SourcePart],
    /// The kernel's own source, with its entry point.
    own: &'static str,
}

/// Prints only the name, because printed plans should not contain shader sources.
impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const STATES: &str = include_str!("../shaders/shared/states.wgsl");
const ROW_WORKGROUP: &str = include_str!("../shaders/shared/row_workgroup.wgsl");
const HELD_ROW: &str = include_str!("../shaders/shared/held_row.wgsl");
const INPUT_KIND: &str = include_str!("../shaders/shared/input_kind.wgsl");
const EMISSION: &str = include_str!("../shaders/shared/emission.wgsl");
const ENTRIES: &str = include_str!("../shaders/shared/entries.wgsl");
const EMISSIONS: &str = include_str!("../shaders/shared/emissions.wgsl");
const SWEEP_ARRAYS: &str = include_str!("../shaders/shared/sweep_arrays.wgsl");
const NEIGHBOUR_BARRIER: &str = include_str!("../shaders/shared/neighbour_barrier.wgsl");
const NEIGHBOUR_SUBGROUP: &str = include_str!("../shaders/shared/neighbour_subgroup.wgsl");
const WHOLE_ROW: &str = include_str!("../shaders/shared/whole_row.wgsl");
const WINDOWS: &str = include_str!("../shaders/shared/windows.wgsl");
const LARGEST: &str = include_str!("../shaders/shared/largest.wgsl");
const FOLD_BARRIER: &str = include_str!("../shaders/shared/fold_barrier.wgsl");
const FOLD_FRAMES_BARRIER: &str = include_str!("../shaders/shared/fold_frames_barrier.wgsl");
const FOLD_FRAMES_SUBGROUP: &str = include_str!("../shaders/shared/fold_frames_subgroup.wgsl");
const FOLD_SUBGROUP: &str = include_str!("../shaders/shared/fold_subgroup.wgsl");

pub(crate) static BATCH_TOTALS: Kernel = Kernel {
    name: "batch_totals",
    bindings: &[
        (ArrayId::LabelLengths, Read),
        (ArrayId::Weights, Read),
        (ArrayId::Totals, Write),
    ],
    shared: &[],
    own: include_str!("../shaders/batch_totals.wgsl"),
};

pub(crate) static CHECK_LABELS: Kernel = Kernel {
    name: "check_labels",
    bindings: &[
        (ArrayId::Labels, Read),
        (ArrayId::LogitLengths, Read),
        (ArrayId::LabelLengths, Read),
        (ArrayId::Weights, Read),
        (ArrayId::Totals, Read),
        (ArrayId::Items, Write),
        (ArrayId::ItemStatus, Write),
        (ArrayId::LabelTable, Write),
    ],
    shared: &[],
    own: include_str!("../shaders/check_labels.wgsl"),
};

pub(crate) static LABEL_LINKS: Kernel = Kernel {
    name: "label_links",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::LabelTable, Read),
        (ArrayId::NextLabel, Write),
        (ArrayId::FirstOfClass, Write),
    ],
    shared: &[],
    own: include_str!("../shaders/label_links.wgsl"),
};

pub(crate) static SOFTMAX_STATS: Kernel = Kernel {
    name: "softmax_stats",
    bindings: &[
        (ArrayId::Input, Read),
        (ArrayId::Items, Read),
        (ArrayId::LabelTable, Read),
        (ArrayId::ItemStatus, Write),
        (ArrayId::RowStats, Write),
        (ArrayId::Gathered, Write),
        (ArrayId::Grad, Write),
    ],
    shared: &[
        SourcePart::Input,
        SourcePart::RowVectors,
        SourcePart::RowGradient,
        Shared(HELD_ROW),
        Shared(INPUT_KIND),
        Shared(EMISSION),
        Shared(ROW_WORKGROUP),
        SourcePart::Exchange(FOLD_BARRIER, FOLD_SUBGROUP),
    ],
    own: include_str!("../shaders/softmax_stats.wgsl"),
};

const SWEEP_BINDINGS: &[(ArrayId, Access)] = &[
    (ArrayId::Input, Read),
    (ArrayId::Items, Read),
    (ArrayId::LabelTable, Read),
    (ArrayId::RowStats, Read),
    (ArrayId::Gathered, Read),
    (ArrayId::Lattice, Write),
    (ArrayId::Carry, Write),
    (ArrayId::ItemStatus, Read),
];

pub(crate) static SWEEP: Kernel = Kernel {
    name: "sweep",
    bindings: SWEEP_BINDINGS,
    shared: &[
        SourcePart::Input,
        Shared(INPUT_KIND),
        Shared(STATES),
        Shared(EMISSION),
        Shared(ENTRIES),
        SourcePart::Emissions,
        SourcePart::Swap,
        SourcePart::SweepLoops,
        Shared(SWEEP_ARRAYS),
        SourcePart::Carry,
        Shared(LARGEST),
        SourcePart::Exchange(WHOLE_ROW, WINDOWS),
        SourcePart::Exchange(NEIGHBOUR_BARRIER, NEIGHBOUR_SUBGROUP),
    ],
    own: include_str!("../shaders/sweep.wgsl"),
};

pub(crate) static SWEEP_LONG: Kernel = Kernel {
    name: "sweep_long",
    bindings: SWEEP_BINDINGS,
    shared: &[
        SourcePart::Input,
        Shared(INPUT_KIND),
        Shared(STATES),
        Shared(EMISSION),
        Shared(ENTRIES),
        SourcePart::Emissions,
        Shared(SWEEP_ARRAYS),
        Shared(source::CARRY_WRITTEN),
        Shared(WHOLE_ROW),
        Shared(LARGEST),
    ],
    own: include_str!("../shaders/sweep_long.wgsl"),
};

pub(crate) static JOIN: Kernel = Kernel {
    name: "join",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::LabelTable, Read),
        (ArrayId::Carry, Read),
        (ArrayId::RowStats, Read),
        (ArrayId::ItemStatus, Read),
        (ArrayId::Loss, Write),
        (ArrayId::Status, Write),
        (ArrayId::FinalStatus, Write),
    ],
    shared: &[Shared(INPUT_KIND), Shared(STATES)],
    own: include_str!("../shaders/join.wgsl"),
};

pub(crate) static REDUCE: Kernel = Kernel {
    name: "reduce",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::Loss, Read),
        (ArrayId::Reduced, Write),
    ],
    shared: &[],
    own: include_str!("../shaders/reduce.wgsl"),
};

pub(crate) static GRAD: Kernel = Kernel {
    name: "grad",
    bindings: &[
        (ArrayId::Input, Read),
        (ArrayId::Items, Read),
        (ArrayId::NextLabel, Read),
        (ArrayId::FirstOfClass, Read),
        (ArrayId::FinalStatus, Read),
        (ArrayId::Lattice, Read),
        (ArrayId::Grad, Write),
        (ArrayId::RowStats, Read),
    ],
    shared: &[
        SourcePart::Gradient,
        Shared(INPUT_KIND),
        Shared(ROW_WORKGROUP),
        SourcePart::Exchange(FOLD_FRAMES_BARRIER, FOLD_FRAMES_SUBGROUP),
    ],
    own: include_str!("../shaders/grad.wgsl"),
};

/// All kernels: those of the loss in the order in which they run, then those of alignment, then the
/// one of greedy decoding.
pub(crate) static KERNELS: [&Kernel; 16] = [
    &BATCH_TOTALS,
    &CHECK_LABELS,
    &LABEL_LINKS,
    &SOFTMAX_STATS,
    &SWEEP,
    &SWEEP_LONG,
    &JOIN,
    &REDUCE,
    &GRAD,
    &VITERBI,
    &VITERBI_LONG,
    &BACKTRACE,
    &PATH,
    &SPANS,
    &PATH_LOG_PROB,
    &COLLAPSE,
];
