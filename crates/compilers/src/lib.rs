//! Translates pipelines as wgpu does and compiles them with the compilers of other projects. Used
//! by the tests of this crate and by the program `pipelines` of `benches/compilers.sh`.

pub mod case;
pub mod module;
pub mod to_hlsl;
pub mod to_spirv;
pub mod vulkan;
