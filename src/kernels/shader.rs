//! The source of every variant of every kernel, for tools that inspect or validate shaders.

use super::source::for_browsers;
use super::{Aliasing, ElementType, KERNELS, Kernel, Pairs, SourceVariant, SweepForm};

/// All values of two settings.
const TWO_SWITCHES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

/// Returns each kernel with each of its distinct source variants.
pub(crate) fn variants() -> impl Iterator<Item = (&'static Kernel, SourceVariant)> {
    KERNELS.iter().flat_map(|kernel| {
        let mut variants = Vec::new();
        for aliasing in [Aliasing::Separate, Aliasing::Aliased] {
            for element in [ElementType::F32, ElementType::F16] {
                for in_place in [false, true] {
                    for subgroups in [false, true] {
                        for [vectors, row_gradient] in TWO_SWITCHES {
                            for pairs in Pairs::ALL {
                                for [table, last] in TWO_SWITCHES {
                                    variants.push(kernel.source_variant(SourceVariant {
                                        aliasing,
                                        element,
                                        in_place,
                                        subgroups,
                                        vectors,
                                        row_gradient,
                                        sweep: SweepForm { pairs, table, last },
                                    }));
                                }
                            }
                        }
                    }
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        variants.retain(|variant| seen.insert(*variant));
        variants.into_iter().map(|variant| (*kernel, variant))
    })
}

/// The WGSL source of one variant of a kernel, to read or to pass to a tool that validates shaders.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shader {
    /// The name of the kernel and of its entry point.
    pub name: &'static str,
    /// The source, as wgpu's shader compiler, naga, accepts it.
    pub wgsl: String,
    /// True if all of the caller's buffers are declared `read_write`, so that several of them may
    /// be ranges of one `wgpu::Buffer`.
    pub aliased: bool,
    /// The element type of the input and of the gradient.
    pub element: ElementType,
    /// True if the gradient overwrites the input.
    pub in_place: bool,
    /// True if the source requires [`wgpu::Features::SUBGROUP`].
    pub subgroups: bool,
    /// True if the source reads four adjacent entries of the input at once.
    pub input_vectors: bool,
    /// True if `softmax_stats` writes the gradient of classes without labels.
    pub row_gradient: bool,
    /// The number of state pairs that each lane of `sweep` or `viterbi` holds: 1, 2 or 4; 4 for the
    /// other kernels.
    pub pairs_per_lane: u32,
    /// True if a sweep reads emissions from the emission table instead of computing them.
    pub emission_table: bool,
    /// True for the last dispatch of an outward sweep by `sweep`, which stores no states for
    /// another one.
    pub last: bool,
}

impl Shader {
    pub(crate) fn new(kernel: &Kernel, variant: SourceVariant) -> Self {
        let variant = kernel.source_variant(variant);
        Self {
            name: kernel.name,
            wgsl: kernel.source(variant),
            aliased: variant.aliasing == Aliasing::Aliased,
            element: variant.element,
            in_place: variant.in_place,
            subgroups: variant.subgroups,
            input_vectors: variant.vectors,
            row_gradient: variant.row_gradient,
            pairs_per_lane: variant.sweep.pairs.count(),
            emission_table: variant.sweep.table,
            last: variant.sweep.last,
        }
    }

    /// Returns the source as the compilers of browsers (Tint and WebKit's) accept it: if it uses
    /// subgroups, it begins with `enable subgroups;`, which naga 30 does not support.
    #[must_use]
    pub fn for_browsers(&self) -> String {
        for_browsers(self.wgsl.clone(), self.subgroups)
    }
}

/// Returns the source of every variant of every kernel, in the order in which the kernels run.
///
/// ```
/// let mut names: Vec<_> = ctc_wgpu::shaders().map(|shader| shader.name).collect();
/// names.dedup();
/// assert_eq!(
///     names,
///     [
///         "batch_totals", "check_labels", "label_links", "softmax_stats", "sweep", "sweep_long",
///         "join", "reduce", "grad", "viterbi", "viterbi_long", "backtrace", "path", "spans",
///         "path_log_prob", "collapse",
///     ]
/// );
/// ```
pub fn shaders() -> impl Iterator<Item = Shader> {
    variants().map(|(kernel, variant)| Shader::new(kernel, variant))
}
