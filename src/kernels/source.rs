//! How a kernel's text is put together: which parts of `shaders/shared` come before its own.

use super::Access::{self, Read, Write};
use super::{ArrayId, Kernel};

const PARAMS: &str = include_str!("../../shaders/shared/params.wgsl");
const INDEX: &str = include_str!("../../shaders/shared/index.wgsl");
const SCALED: &str = include_str!("../../shaders/shared/scaled.wgsl");
const INPUT_F32: &str = include_str!("../../shaders/shared/input_f32.wgsl");
const INPUT_F16: &str = include_str!("../../shaders/shared/input_f16.wgsl");
const GRADIENT_F32: &str = include_str!("../../shaders/shared/gradient_f32.wgsl");
const GRADIENT_F16: &str = include_str!("../../shaders/shared/gradient_f16.wgsl");
const IN_PLACE_F32: &str = include_str!("../../shaders/shared/in_place_f32.wgsl");
const IN_PLACE_F16: &str = include_str!("../../shaders/shared/in_place_f16.wgsl");
const HALF: &str = include_str!("../../shaders/shared/half.wgsl");

/// How the caller's buffers lie: WebGPU forbids that a dispatch binds one buffer both to read and to write, so buffers
/// that share one allocation are all declared as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aliasing {
    /// Each in a `wgpu::Buffer` of its own.
    Separate,
    /// Several in one.
    Aliased,
}

/// What the numbers of the input and of the gradient are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ElementType {
    /// 4 bytes.
    #[default]
    F32,
    /// 2 bytes, computed with in f32; the device needs [`wgpu::Features::SHADER_F16`].
    F16,
}

impl ElementType {
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
pub(crate) struct SourceVariant {
    pub(crate) aliasing: Aliasing,
    pub(crate) element: ElementType,
    /// The gradient lies where the input does.
    pub(crate) in_place: bool,
    /// Subgroups pass on what else goes through workgroup memory.
    pub(crate) subgroups: bool,
}

impl SourceVariant {
    /// What every device compiles.
    pub(crate) const PLAIN: Self = Self {
        aliasing: Aliasing::Separate,
        element: ElementType::F32,
        in_place: false,
        subgroups: false,
    };
}

/// A part of a kernel's text that comes before its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Shared(&'static str),
    /// The binding of the input.
    Input,
    /// The binding of the gradient, and the input's where that is another.
    Gradient,
    /// What passes from lane to lane: through workgroup memory, or in a subgroup.
    Lanes(&'static str, &'static str),
}

/// The text for a browser's compiler, which asks for a directive that naga 30 does not know.
pub(crate) fn for_browsers(source: String, subgroups: bool) -> String {
    if subgroups {
        format!("enable subgroups;\n{source}")
    } else {
        source
    }
}

impl Kernel {
    /// The same text without what this kernel does not have: so that texts that are equal are known to be.
    pub(crate) fn source_variant(&self, variant: SourceVariant) -> SourceVariant {
        let reads = self.parts.contains(&Part::Input);
        let writes = self.parts.contains(&Part::Gradient);
        let external = self.bindings.iter().any(|(array, access)| {
            array.is_external()
                && *access == Read
                && !(variant.in_place && *array == ArrayId::Input)
        });
        SourceVariant {
            aliasing: if external {
                variant.aliasing
            } else {
                Aliasing::Separate
            },
            element: if reads || writes {
                variant.element
            } else {
                ElementType::F32
            },
            in_place: variant.in_place && writes,
            subgroups: variant.subgroups
                && self
                    .parts
                    .iter()
                    .any(|part| matches!(part, Part::Lanes(..))),
        }
    }

    /// The WGSL text that is compiled.
    pub(crate) fn source(&self, variant: SourceVariant) -> String {
        let variant = self.source_variant(variant);
        let mut parts = Vec::new();
        if variant.element == ElementType::F16 {
            parts.push("enable f16;\n");
        }
        parts.extend([PARAMS, INDEX, SCALED]);
        if variant.element == ElementType::F16 {
            parts.push(HALF);
        }
        for part in self.parts {
            let input = match variant.element {
                ElementType::F32 => INPUT_F32,
                ElementType::F16 => INPUT_F16,
            };
            match part {
                Part::Shared(shared) => parts.push(shared),
                Part::Input => parts.push(input),
                Part::Gradient => {
                    parts.extend(match (variant.element, variant.in_place) {
                        (ElementType::F32, false) => [GRADIENT_F32, INPUT_F32],
                        (ElementType::F32, true) => [GRADIENT_F32, IN_PLACE_F32],
                        (ElementType::F16, false) => [GRADIENT_F16, INPUT_F16],
                        (ElementType::F16, true) => [GRADIENT_F16, IN_PLACE_F16],
                    });
                }
                Part::Lanes(_, subgroup) if variant.subgroups => parts.push(subgroup),
                Part::Lanes(barrier, _) => parts.push(barrier),
            }
        }
        parts.push(self.stage);
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

    /// The access that the pipeline's layout declares; none where the text has no such binding.
    pub(crate) fn access(&self, binding: usize, variant: SourceVariant) -> Option<Access> {
        let variant = self.source_variant(variant);
        match self.bindings[binding] {
            (ArrayId::Input, _) if variant.in_place => None,
            (array, Read) if array.is_external() && variant.aliasing == Aliasing::Aliased => {
                Some(Write)
            }
            (_, access) => Some(access),
        }
    }
}
