//! Every text of every kernel, for whoever judges shaders.

use super::source::for_browsers;
use super::{Aliasing, ElementType, KERNELS, Kernel, SourceVariant};

/// Every text that there is of each kernel, once.
pub(crate) fn variants() -> impl Iterator<Item = (&'static Kernel, SourceVariant)> {
    KERNELS.iter().flat_map(|kernel| {
        let mut variants = Vec::new();
        for aliasing in [Aliasing::Separate, Aliasing::Aliased] {
            for element in [ElementType::F32, ElementType::F16] {
                for in_place in [false, true] {
                    for subgroups in [false, true] {
                        variants.push(kernel.source_variant(SourceVariant {
                            aliasing,
                            element,
                            in_place,
                            subgroups,
                        }));
                    }
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        variants.retain(|variant| seen.insert(*variant));
        variants.into_iter().map(|variant| (*kernel, variant))
    })
}

/// The WGSL of a kernel as it is compiled: to read, or for a tool that judges shaders.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shader {
    /// The kernel, which is its entry point's name.
    pub name: &'static str,
    /// The variant as wgpu's own compiler, naga, takes it.
    pub wgsl: String,
    /// Whether all of the caller's buffers are declared as written, for where several lie in one `wgpu::Buffer`.
    pub together: bool,
    /// What the numbers of the input are.
    pub element: ElementType,
    /// Whether the gradient lies where the input does.
    pub in_place: bool,
    /// Whether it needs [`wgpu::Features::SUBGROUP`].
    pub subgroups: bool,
}

impl Shader {
    pub(crate) fn new(kernel: &Kernel, variant: SourceVariant) -> Self {
        let variant = kernel.source_variant(variant);
        Self {
            name: kernel.name,
            wgsl: kernel.source(variant),
            together: variant.aliasing == Aliasing::Aliased,
            element: variant.element,
            in_place: variant.in_place,
            subgroups: variant.subgroups,
        }
    }

    /// The variant as the browsers' compilers (Tint, WebKit's) take it: with `enable subgroups;` before one that uses them,
    /// which naga 30 does not know.
    #[must_use]
    pub fn for_browsers(&self) -> String {
        for_browsers(self.wgsl.clone(), self.subgroups)
    }
}

/// Every text of every kernel, in the order of the pipeline.
///
/// ```
/// let mut names: Vec<_> = ctc_wgpu::shaders().map(|shader| shader.name).collect();
/// names.dedup();
/// assert_eq!(names[..9], ["totals", "labels", "chain", "stats", "sweep", "sweep_long", "meet", "reduce", "grad"]);
/// assert_eq!(names[9..], ["align", "align_long", "trace", "path", "spans", "score", "greedy"]);
/// ```
pub fn shaders() -> impl Iterator<Item = Shader> {
    variants().map(|(kernel, variant)| Shader::new(kernel, variant))
}
