//! The table of kernels: a row a stage. Nothing else knows a binding's number or a shader's text.

#[cfg(test)]
mod tests;

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
    Grad,
    Sums,
    Items,
    Verdicts,
    LabelTable,
    RowStats,
    Carry,
    Emissions,
    Lattice,
}

impl Slot {
    /// Whether the caller's buffer stands there, which may be the same `wgpu::Buffer` as another slot's.
    pub(crate) fn is_external(self) -> bool {
        self <= Self::Grad
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
            Self::Grad => "grad",
            Self::Sums => "sums",
            Self::Items => "items",
            Self::Verdicts => "verdicts",
            Self::LabelTable => "label_table",
            Self::RowStats => "row_stats",
            Self::Carry => "carry",
            Self::Emissions => "emissions",
            Self::Lattice => "lattice",
        }
    }
}

/// Whether a stage only reads a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    Write,
}

/// How the caller's buffers lie: WebGPU forbids that a dispatch binds one buffer both to read and to write, so buffers
/// that share one allocation are all declared as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sharing {
    /// Each in a `wgpu::Buffer` of its own.
    Apart,
    /// Several in one.
    Together,
}

/// A stage's kernel. The entry point has the kernel's name; binding 0 is the uniform `Params`, the rest follow in order.
#[derive(PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) bindings: &'static [(Slot, Access)],
    shared: &'static [&'static str],
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

impl Kernel {
    /// The WGSL text that is compiled.
    pub(crate) fn source(&self, sharing: Sharing) -> String {
        let mut text = String::new();
        for part in [PARAMS, INDEX, SCALED].iter().chain(self.shared) {
            text.push_str(part);
            text.push('\n');
        }
        text.push_str(self.stage);
        if sharing == Sharing::Together {
            for (number, (slot, access)) in (1..).zip(self.bindings) {
                if slot.is_external() && *access == Read {
                    let read = format!("@binding({number}) var<storage, read>");
                    let written = format!("@binding({number}) var<storage, read_write>");
                    text = text.replace(&read, &written);
                }
            }
        }
        text
    }

    /// The access that the pipeline's layout declares.
    pub(crate) fn access(&self, binding: usize, sharing: Sharing) -> Access {
        match self.bindings[binding] {
            (slot, Read) if slot.is_external() && sharing == Sharing::Together => Write,
            (_, access) => access,
        }
    }
}

const PARAMS: &str = include_str!("../shaders/shared/params.wgsl");
const INDEX: &str = include_str!("../shaders/shared/index.wgsl");
const SCALED: &str = include_str!("../shaders/shared/scaled.wgsl");
const STATES: &str = include_str!("../shaders/shared/states.wgsl");
const ROWS: &str = include_str!("../shaders/shared/rows.wgsl");

use Access::{Read, Write};

pub(crate) static TOTALS: Kernel = Kernel {
    name: "totals",
    bindings: &[
        (Slot::LabelLengths, Read),
        (Slot::Weights, Read),
        (Slot::Sums, Write),
    ],
    shared: &[],
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
    shared: &[],
    stage: include_str!("../shaders/labels.wgsl"),
};

pub(crate) static CHAIN: Kernel = Kernel {
    name: "chain",
    bindings: &[(Slot::Items, Read), (Slot::LabelTable, Write)],
    shared: &[],
    stage: include_str!("../shaders/chain.wgsl"),
};

pub(crate) static EMIT: Kernel = Kernel {
    name: "emit",
    bindings: &[
        (Slot::Input, Read),
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Verdicts, Write),
        (Slot::Emissions, Write),
        (Slot::RowStats, Write),
    ],
    shared: &[ROWS],
    stage: include_str!("../shaders/emit.wgsl"),
};

pub(crate) static SWEEP: Kernel = Kernel {
    name: "sweep",
    bindings: &[
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Emissions, Read),
        (Slot::Lattice, Write),
        (Slot::Carry, Write),
    ],
    shared: &[STATES],
    stage: include_str!("../shaders/sweep.wgsl"),
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
    ],
    shared: &[STATES],
    stage: include_str!("../shaders/meet.wgsl"),
};

pub(crate) static REDUCE: Kernel = Kernel {
    name: "reduce",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Loss, Read),
        (Slot::Reduced, Write),
    ],
    shared: &[],
    stage: include_str!("../shaders/reduce.wgsl"),
};

pub(crate) static GRAD: Kernel = Kernel {
    name: "grad",
    bindings: &[
        (Slot::Input, Read),
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::Verdicts, Read),
        (Slot::Lattice, Read),
        (Slot::RowStats, Read),
        (Slot::Grad, Write),
    ],
    shared: &[ROWS],
    stage: include_str!("../shaders/grad.wgsl"),
};

/// The WGSL of each kernel as it is compiled, in the order of the pipeline, with its entry point's name: to read, or for
/// a tool that judges shaders. `together` asks for the text in which all of the caller's buffers are declared as written,
/// which serves where several lie in one `wgpu::Buffer`.
///
/// ```
/// let names: Vec<_> = ctc_wgpu::shaders(false).map(|(name, _)| name).collect();
/// assert_eq!(names, ["totals", "labels", "chain", "emit", "sweep", "meet", "reduce", "grad"]);
/// ```
pub fn shaders(together: bool) -> impl Iterator<Item = (&'static str, String)> {
    let sharing = if together {
        Sharing::Together
    } else {
        Sharing::Apart
    };
    KERNELS
        .iter()
        .map(move |kernel| (kernel.name, kernel.source(sharing)))
}

/// All kernels, in the order of the pipeline.
pub(crate) static KERNELS: [&Kernel; 8] = [
    &TOTALS, &LABELS, &CHAIN, &EMIT, &SWEEP, &MEET, &REDUCE, &GRAD,
];
