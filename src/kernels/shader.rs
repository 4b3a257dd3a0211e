//! Every text of every kernel, for whoever judges shaders.

use super::text::for_browsers;
use super::{Element, KERNELS, Kernel, Sharing, Text};

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
    /// The text as wgpu's own compiler, naga, takes it.
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

impl Shader {
    pub(crate) fn new(kernel: &Kernel, text: Text) -> Self {
        let text = kernel.text(text);
        Self {
            name: kernel.name,
            wgsl: kernel.source(text),
            together: text.sharing == Sharing::Together,
            element: text.element,
            in_place: text.in_place,
            subgroups: text.subgroups,
        }
    }

    /// The text as the browsers' compilers (Tint, WebKit's) take it: with `enable subgroups;` before one that uses them,
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
    texts().map(|(kernel, text)| Shader::new(kernel, text))
}
