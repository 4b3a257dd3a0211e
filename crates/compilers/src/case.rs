//! A pipeline to compile: a kernel's source and the constants that a plan sets.

use ctc_wgpu::{ElementType, Shader};

/// A pipeline.
#[derive(Debug, Clone)]
pub struct Case {
    /// The source.
    pub shader: Shader,
    /// The values of the override constants, by name.
    pub constants: Vec<(&'static str, u32)>,
}

impl Case {
    /// Returns the name of the pipeline, as in `aco.tsv`.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.shader.name.to_owned();
        for (holds, word) in [
            (self.shader.aliased, "aliased"),
            (self.is_f16(), "f16"),
            (self.shader.in_place, "in_place"),
            (self.shader.subgroups, "subgroups"),
            (self.shader.input_vectors, "vectors"),
            (self.shader.row_gradient, "gradient"),
            (self.shader.pairs_per_lane == 1, "one_pair"),
            (self.shader.pairs_per_lane == 2, "two_pairs"),
            (self.shader.emission_table, "table"),
            (self.shader.last, "last"),
        ] {
            if holds {
                name = format!("{name} {word}");
            }
        }
        for (constant, value) in &self.constants {
            name = format!("{name} {constant}={value}");
        }
        name
    }

    /// Returns true if the input is f16.
    #[must_use]
    pub fn is_f16(&self) -> bool {
        self.shader.element == ElementType::F16
    }
}
