//! Assembles the source of a kernel: the files of `shaders/shared` that it needs, each in the
//! selected variant, then its own file.

use super::Access::{self, Read, Write};
use super::{ArrayId, EMISSIONS, Kernel};

const PARAMS: &str = include_str!("../../shaders/shared/params.wgsl");
const INDEX: &str = include_str!("../../shaders/shared/index.wgsl");
const SCALED: &str = include_str!("../../shaders/shared/scaled.wgsl");
const PAIRS_1: &str = include_str!("../../shaders/shared/pairs_1.wgsl");
const PAIRS_2: &str = include_str!("../../shaders/shared/pairs_2.wgsl");
const PAIRS_VECTOR: &str = include_str!("../../shaders/shared/pairs_vector.wgsl");
const PAIRS_4: &str = include_str!("../../shaders/shared/pairs_4.wgsl");
const EMISSION_TABLE: &str = include_str!("../../shaders/shared/emission_table.wgsl");
const DIRECTION_CONSTANT: &str = include_str!("../../shaders/shared/direction_constant.wgsl");
const DIRECTION_VARIABLE: &str = include_str!("../../shaders/shared/direction_variable.wgsl");
const OUTWARD_IN_TURN: &str = include_str!("../../shaders/shared/outward_in_turn.wgsl");
const OUTWARD_OVERLAPPED: &str = include_str!("../../shaders/shared/outward_overlapped.wgsl");
const CARRY_READ: &str = include_str!("../../shaders/shared/carry_read.wgsl");
pub(super) const CARRY_WRITTEN: &str = include_str!("../../shaders/shared/carry_written.wgsl");
const SWAP_BARRIER: &str = include_str!("../../shaders/shared/swap_barrier.wgsl");
const SWAP_SUBGROUP: &str = include_str!("../../shaders/shared/swap_subgroup.wgsl");
const INPUT_F32: &str = include_str!("../../shaders/shared/input_f32.wgsl");
const INPUT_F16: &str = include_str!("../../shaders/shared/input_f16.wgsl");
const INPUT_F32_VECTORS: &str = include_str!("../../shaders/shared/input_f32_vectors.wgsl");
const INPUT_F16_VECTORS: &str = include_str!("../../shaders/shared/input_f16_vectors.wgsl");
const ROW_STRIDED: &str = include_str!("../../shaders/shared/row_strided.wgsl");
const ROW_ADJACENT: &str = include_str!("../../shaders/shared/row_adjacent.wgsl");
const ROW_GRADIENT_NONE: &str = include_str!("../../shaders/shared/row_gradient_none.wgsl");
const ROW_GRADIENT_STRIDED: &str = include_str!("../../shaders/shared/row_gradient_strided.wgsl");
const ROW_GRADIENT_ADJACENT: &str = include_str!("../../shaders/shared/row_gradient_adjacent.wgsl");
const GRADIENT_F32: &str = include_str!("../../shaders/shared/gradient_f32.wgsl");
const GRADIENT_F16: &str = include_str!("../../shaders/shared/gradient_f16.wgsl");
const GRADIENT_F32_VECTORS: &str = include_str!("../../shaders/shared/gradient_f32_vectors.wgsl");
const GRADIENT_F16_VECTORS: &str = include_str!("../../shaders/shared/gradient_f16_vectors.wgsl");
const SET_GRADIENTS: &str = include_str!("../../shaders/shared/set_gradients.wgsl");
const IN_PLACE_F32: &str = include_str!("../../shaders/shared/in_place_f32.wgsl");
const IN_PLACE_F16: &str = include_str!("../../shaders/shared/in_place_f16.wgsl");
const HALF: &str = include_str!("../../shaders/shared/half.wgsl");

/// The placement of the caller's buffers: each in its own `wgpu::Buffer`, or several in one.
///
/// WebGPU forbids binding one buffer both as read-only and as writable in a dispatch, so aliased
/// buffers are all declared `read_write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aliasing {
    /// Each one is a `wgpu::Buffer` of its own.
    Separate,
    /// Several are ranges of one `wgpu::Buffer`.
    Aliased,
}

/// The element type of the input and of the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats. Shaders convert them to f32 and compute in f32. The device needs
    /// [`wgpu::Features::SHADER_F16`].
    F16,
}

impl ElementType {
    /// Returns the size of an element in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// The number of state pairs that a lane of a recursion over frames holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pairs {
    One,
    Two,
    Four,
}

impl Pairs {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Four];

    pub(crate) fn count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::One => &[PAIRS_1],
            Self::Two => &[PAIRS_2, PAIRS_VECTOR],
            Self::Four => &[PAIRS_4, PAIRS_VECTOR],
        }
    }
}

/// The form of a recursion over frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SweepForm {
    pub(crate) pairs: Pairs,
    /// The sweep reads emissions from the emission table instead of computing them.
    pub(crate) table: bool,
    /// The last dispatch of an outward sweep by `sweep`, which does not store its last states.
    pub(crate) last: bool,
}

impl SweepForm {
    /// The form whose lanes hold quads, compute the emissions and store their last states. All
    /// other kernels have it too.
    pub(crate) const QUADS: Self = Self {
        pairs: Pairs::Four,
        table: false,
        last: false,
    };
}

/// Selects a variant of a kernel's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SourceVariant {
    pub(crate) aliasing: Aliasing,
    pub(crate) element: ElementType,
    /// The gradient overwrites the input.
    pub(crate) in_place: bool,
    /// Lanes exchange values by subgroup operations instead of through workgroup memory.
    pub(crate) subgroups: bool,
    /// The rows of the input consist of whole vectors of four entries, which a lane reads at once.
    pub(crate) vectors: bool,
    /// `softmax_stats` writes the gradient of classes without labels.
    pub(crate) row_gradient: bool,
    pub(crate) sweep: SweepForm,
}

impl SourceVariant {
    /// The variant that every device supports.
    pub(crate) const PLAIN: Self = Self {
        aliasing: Aliasing::Separate,
        element: ElementType::F32,
        in_place: false,
        subgroups: false,
        vectors: false,
        row_gradient: false,
        sweep: SweepForm::QUADS,
    };
}

/// A part of a kernel's source that precedes its own file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SourcePart {
    /// The same source in every variant.
    Shared(&'static str),
    /// The binding of the input.
    Input,
    /// How lanes read a row of the input: four entries LANES apart, or a vector of four.
    RowVectors,
    /// How lanes write a row of the gradient, if they do: as they read a row of the input.
    RowGradient,
    /// The binding of the gradient, and that of the input unless the gradient overwrites it.
    Gradient,
    /// The emissions of a sweep: computed, or read from the emission table.
    Emissions,
    /// The entries of a recursion that never reads the emission table.
    Entries,
    /// The states of a sweep between two dispatches.
    Carry,
    /// The exchange between the lanes that hold one quad, if a lane holds less than a quad.
    Swap,
    /// The loop of the outward sweep, and whether the direction is a constant.
    SweepLoops,
    /// The exchange between lanes: the source for workgroup memory, and that for subgroup
    /// operations.
    Exchange(&'static str, &'static str),
}

/// Returns the source for the compiler of a browser, which requires a directive that naga 30 does
/// not support.
pub(crate) fn for_browsers(source: String, subgroups: bool) -> String {
    if subgroups {
        format!("enable subgroups;\n{source}")
    } else {
        source
    }
}

impl Kernel {
    /// Resets the settings of `variant` that this kernel's source does not depend on, so that equal
    /// sources have equal variants.
    pub(crate) fn source_variant(&self, variant: SourceVariant) -> SourceVariant {
        let reads_input = self.shared.contains(&SourcePart::Input);
        let writes_gradient = self.shared.contains(&SourcePart::Gradient);
        let reads_external = self.bindings.iter().any(|(array, access)| {
            array.is_external()
                && *access == Read
                && !(variant.in_place && *array == ArrayId::Input)
        });
        SourceVariant {
            aliasing: if reads_external {
                variant.aliasing
            } else {
                Aliasing::Separate
            },
            element: if reads_input || writes_gradient {
                variant.element
            } else {
                ElementType::F32
            },
            in_place: variant.in_place && writes_gradient,
            subgroups: variant.subgroups
                && self
                    .shared
                    .iter()
                    .any(|part| matches!(part, SourcePart::Exchange(..))),
            vectors: variant.vectors && self.shared.contains(&SourcePart::RowVectors),
            row_gradient: variant.row_gradient
                && !variant.in_place
                && self.shared.contains(&SourcePart::RowGradient),
            sweep: if self.shared.contains(&SourcePart::SweepLoops) {
                variant.sweep
            } else if self.shared.contains(&SourcePart::Emissions) {
                SweepForm {
                    table: variant.sweep.table,
                    ..SweepForm::QUADS
                }
            } else if self.shared.contains(&SourcePart::Entries) {
                SweepForm {
                    pairs: variant.sweep.pairs,
                    ..SweepForm::QUADS
                }
            } else {
                SweepForm::QUADS
            },
        }
    }

    /// Returns the WGSL source of a variant.
    pub(crate) fn source(&self, variant: SourceVariant) -> String {
        let variant = self.source_variant(variant);
        let mut parts = Vec::new();
        if variant.element == ElementType::F16 {
            parts.push("enable f16;\n");
        }
        let SweepForm { pairs, table, last } = variant.sweep;
        parts.extend([PARAMS, INDEX]);
        parts.extend(pairs.sources());
        parts.push(SCALED);
        if variant.element == ElementType::F16 {
            parts.push(HALF);
        }
        let gradient = match variant.element {
            ElementType::F32 => GRADIENT_F32,
            ElementType::F16 => GRADIENT_F16,
        };
        for part in self.shared {
            let input = match (variant.element, variant.vectors) {
                (ElementType::F32, false) => INPUT_F32,
                (ElementType::F32, true) => INPUT_F32_VECTORS,
                (ElementType::F16, false) => INPUT_F16,
                (ElementType::F16, true) => INPUT_F16_VECTORS,
            };
            match part {
                SourcePart::Shared(shared) => parts.push(shared),
                SourcePart::Input => parts.push(input),
                SourcePart::RowVectors if variant.vectors => parts.push(ROW_ADJACENT),
                SourcePart::RowVectors => parts.push(ROW_STRIDED),
                SourcePart::RowGradient if !variant.row_gradient => parts.push(ROW_GRADIENT_NONE),
                SourcePart::RowGradient if variant.vectors => parts.extend([
                    match variant.element {
                        ElementType::F32 => GRADIENT_F32_VECTORS,
                        ElementType::F16 => GRADIENT_F16_VECTORS,
                    },
                    ROW_GRADIENT_ADJACENT,
                ]),
                SourcePart::RowGradient => {
                    parts.extend([gradient, SET_GRADIENTS, ROW_GRADIENT_STRIDED]);
                }
                SourcePart::Gradient => {
                    let input = match (variant.element, variant.in_place) {
                        (ElementType::F32, false) => INPUT_F32,
                        (ElementType::F32, true) => IN_PLACE_F32,
                        (ElementType::F16, false) => INPUT_F16,
                        (ElementType::F16, true) => IN_PLACE_F16,
                    };
                    parts.extend([gradient, SET_GRADIENTS, input]);
                }
                SourcePart::Emissions if table => parts.push(EMISSION_TABLE),
                SourcePart::Emissions | SourcePart::Entries => parts.push(EMISSIONS),
                SourcePart::SweepLoops => parts.extend(match pairs {
                    Pairs::One if table => [OUTWARD_OVERLAPPED, DIRECTION_CONSTANT],
                    Pairs::One | Pairs::Two => [OUTWARD_IN_TURN, DIRECTION_CONSTANT],
                    Pairs::Four => [OUTWARD_IN_TURN, DIRECTION_VARIABLE],
                }),
                SourcePart::Carry if last => parts.push(CARRY_READ),
                SourcePart::Carry => parts.push(CARRY_WRITTEN),
                SourcePart::Swap if pairs == Pairs::Four => {}
                SourcePart::Swap if variant.subgroups => parts.push(SWAP_SUBGROUP),
                SourcePart::Swap => parts.push(SWAP_BARRIER),
                SourcePart::Exchange(_, subgroup) if variant.subgroups => parts.push(subgroup),
                SourcePart::Exchange(barrier, _) => parts.push(barrier),
            }
        }
        parts.push(self.own);
        let mut joined = parts.join("\n");
        if variant.aliasing == Aliasing::Aliased {
            for (number, (array, access)) in (1..).zip(self.bindings) {
                if array.is_external() && *access == Read {
                    let read = format!("@binding({number}) var<storage, read>");
                    let written = format!("@binding({number}) var<storage, read_write>");
                    joined = joined.replace(&read, &written);
                }
            }
        }
        joined
    }

    /// Returns the access that the pipeline layout declares for `bindings[binding]`, or `None` if
    /// the variant's source does not have that binding.
    pub(crate) fn access(&self, binding: usize, variant: SourceVariant) -> Option<Access> {
        let variant = self.source_variant(variant);
        match self.bindings[binding] {
            (ArrayId::Input, _) if variant.in_place => None,
            (ArrayId::Grad, _)
                if self.shared.contains(&SourcePart::RowGradient) && !variant.row_gradient =>
            {
                None
            }
            (ArrayId::Carry, _) if variant.sweep.last => Some(Read),
            (array, Read) if array.is_external() && variant.aliasing == Aliasing::Aliased => {
                Some(Write)
            }
            (_, access) => Some(access),
        }
    }
}
