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
    Exponents,
    LabelTable,
    Heads,
    RowStats,
    Carry,
    Gathered,
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
            Self::Exponents => "exponents",
            Self::LabelTable => "label_table",
            Self::Heads => "heads",
            Self::RowStats => "row_stats",
            Self::Carry => "carry",
            Self::Gathered => "gathered",
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

/// What the numbers of the input and of the gradient are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Element {
    /// 4 bytes.
    #[default]
    F32,
    /// 2 bytes, computed with in f32; the device needs [`wgpu::Features::SHADER_F16`].
    F16,
}

impl Element {
    /// The bytes of one.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Which of a kernel's texts is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) sharing: Sharing,
    pub(crate) element: Element,
    /// The gradient lies where the input does.
    pub(crate) in_place: bool,
    /// Subgroups pass on what else goes through workgroup memory.
    pub(crate) subgroups: bool,
}

impl Text {
    /// What every device compiles.
    pub(crate) const PLAIN: Self = Self {
        sharing: Sharing::Apart,
        element: Element::F32,
        in_place: false,
        subgroups: false,
    };
}

/// A part of a kernel's text that comes before its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Shared(&'static str),
    /// The binding of the input.
    Input,
    /// The binding of the gradient, and the input's where that is another.
    Gradient,
    /// What passes from lane to lane: through workgroup memory, or in a subgroup.
    Lanes(&'static str, &'static str),
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

impl Kernel {
    /// The same text without what this kernel does not have: so that texts that are equal are known to be.
    pub(crate) fn text(&self, text: Text) -> Text {
        let reads = self.parts.contains(&Part::Input);
        let writes = self.parts.contains(&Part::Gradient);
        let external = self.bindings.iter().any(|(slot, access)| {
            slot.is_external() && *access == Read && !(text.in_place && *slot == Slot::Input)
        });
        Text {
            sharing: if external {
                text.sharing
            } else {
                Sharing::Apart
            },
            element: if reads || writes {
                text.element
            } else {
                Element::F32
            },
            in_place: text.in_place && writes,
            subgroups: text.subgroups
                && self
                    .parts
                    .iter()
                    .any(|part| matches!(part, Part::Lanes(..))),
        }
    }

    /// The WGSL text that is compiled.
    pub(crate) fn source(&self, text: Text) -> String {
        let text = self.text(text);
        let mut parts = Vec::new();
        if text.element == Element::F16 {
            parts.push("enable f16;\n");
        }
        parts.extend([PARAMS, INDEX, SCALED]);
        if text.element == Element::F16 {
            parts.push(HALF);
        }
        for part in self.parts {
            let input = match text.element {
                Element::F32 => INPUT_F32,
                Element::F16 => INPUT_F16,
            };
            match part {
                Shared(shared) => parts.push(shared),
                Part::Input => parts.push(input),
                Part::Gradient => {
                    parts.extend(match (text.element, text.in_place) {
                        (Element::F32, false) => [GRADIENT_F32, INPUT_F32],
                        (Element::F32, true) => [GRADIENT_F32, IN_PLACE_F32],
                        (Element::F16, false) => [GRADIENT_F16, INPUT_F16],
                        (Element::F16, true) => [GRADIENT_F16, IN_PLACE_F16],
                    });
                }
                Part::Lanes(_, subgroup) if text.subgroups => parts.push(subgroup),
                Part::Lanes(barrier, _) => parts.push(barrier),
            }
        }
        parts.push(self.stage);
        let mut joined = parts.join("\n");
        if text.sharing == Sharing::Together {
            for (number, (slot, access)) in (1..).zip(self.bindings) {
                if slot.is_external() && *access == Read {
                    let read = format!("@binding({number}) var<storage, read>");
                    let written = format!("@binding({number}) var<storage, read_write>");
                    joined = joined.replace(&read, &written);
                }
            }
        }
        joined
    }

    /// The access that the pipeline's layout declares; none where the text has no such binding.
    pub(crate) fn access(&self, binding: usize, text: Text) -> Option<Access> {
        let text = self.text(text);
        match self.bindings[binding] {
            (Slot::Input, _) if text.in_place => None,
            (slot, Read) if slot.is_external() && text.sharing == Sharing::Together => Some(Write),
            (_, access) => Some(access),
        }
    }
}

const PARAMS: &str = include_str!("../shaders/shared/params.wgsl");
const INDEX: &str = include_str!("../shaders/shared/index.wgsl");
const SCALED: &str = include_str!("../shaders/shared/scaled.wgsl");
const STATES: &str = include_str!("../shaders/shared/states.wgsl");
const ROWS: &str = include_str!("../shaders/shared/rows.wgsl");
const CONVENTION: &str = include_str!("../shaders/shared/convention.wgsl");
const FRAMES: &str = include_str!("../shaders/shared/frames.wgsl");
const TABLES: &str = include_str!("../shaders/shared/tables.wgsl");
const PASSED_BARRIER: &str = include_str!("../shaders/shared/passed_barrier.wgsl");
const PASSED_SUBGROUP: &str = include_str!("../shaders/shared/passed_subgroup.wgsl");
const FOLD_BARRIER: &str = include_str!("../shaders/shared/fold_barrier.wgsl");
const FOLD_SUBGROUP: &str = include_str!("../shaders/shared/fold_subgroup.wgsl");
const INPUT_F32: &str = include_str!("../shaders/shared/input_f32.wgsl");
const INPUT_F16: &str = include_str!("../shaders/shared/input_f16.wgsl");
const GRADIENT_F32: &str = include_str!("../shaders/shared/gradient_f32.wgsl");
const GRADIENT_F16: &str = include_str!("../shaders/shared/gradient_f16.wgsl");
const IN_PLACE_F32: &str = include_str!("../shaders/shared/in_place_f32.wgsl");
const IN_PLACE_F16: &str = include_str!("../shaders/shared/in_place_f16.wgsl");
const HALF: &str = include_str!("../shaders/shared/half.wgsl");

use Access::{Read, Write};
use Part::Shared;

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
    parts: &[Part::Gradient, Shared(CONVENTION), Shared(ROWS)],
    stage: include_str!("../shaders/grad.wgsl"),
};

/// All kernels, in the order of the pipeline.
pub(crate) static KERNELS: [&Kernel; 9] = [
    &TOTALS,
    &LABELS,
    &CHAIN,
    &STATS,
    &SWEEP,
    &SWEEP_LONG,
    &MEET,
    &REDUCE,
    &GRAD,
];

/// Every text that there is of each kernel, once.
pub(crate) fn texts() -> impl Iterator<Item = (&'static Kernel, Text)> {
    KERNELS.iter().flat_map(|kernel| {
        let mut texts = Vec::new();
        for sharing in [Sharing::Apart, Sharing::Together] {
            for element in [Element::F32, Element::F16] {
                for in_place in [false, true] {
                    for subgroups in [false, true] {
                        texts.push(kernel.text(Text {
                            sharing,
                            element,
                            in_place,
                            subgroups,
                        }));
                    }
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        texts.retain(|text| seen.insert(*text));
        texts.into_iter().map(|text| (*kernel, text))
    })
}

/// The WGSL of a kernel as it is compiled: to read, or for a tool that judges shaders.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shader {
    /// The kernel, which is its entry point's name.
    pub name: &'static str,
    /// The text.
    pub wgsl: String,
    /// Whether all of the caller's buffers are declared as written, for where several lie in one `wgpu::Buffer`.
    pub together: bool,
    /// What the numbers of the input are.
    pub element: Element,
    /// Whether the gradient lies where the input does.
    pub in_place: bool,
    /// Whether it needs [`wgpu::Features::SUBGROUP`].
    pub subgroups: bool,
}

/// Every text of every kernel, in the order of the pipeline.
///
/// ```
/// let mut names: Vec<_> = ctc_wgpu::shaders().map(|shader| shader.name).collect();
/// names.dedup();
/// assert_eq!(names, ["totals", "labels", "chain", "stats", "sweep", "sweep_long", "meet", "reduce", "grad"]);
/// ```
pub fn shaders() -> impl Iterator<Item = Shader> {
    texts().map(|(kernel, text)| Shader {
        name: kernel.name,
        wgsl: kernel.source(text),
        together: text.sharing == Sharing::Together,
        element: text.element,
        in_place: text.in_place,
        subgroups: text.subgroups,
    })
}
