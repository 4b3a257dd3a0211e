//! Translates a case to SPIR-V, as wgpu does for Vulkan.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::case::Case;
use super::module::Module;

/// The settings that wgpu passes to naga.
#[derive(Clone, Copy)]
pub struct Target {
    /// The SPIR-V version for a version of Vulkan.
    pub version: (u8, u8),
    /// `spirv-val`'s name of that version of Vulkan.
    pub vulkan: &'static str,
    /// The bounds checks of indices into arrays.
    pub index: BoundsCheckPolicy,
    /// The bounds checks of indices into buffers.
    pub buffer: BoundsCheckPolicy,
    /// True if loops are bounded and divisors checked.
    pub loops: bool,
}

/// The checks on a driver with `robustBufferAccess2`, which desktop drivers support.
pub const ROBUST: Target = Target {
    version: (1, 5),
    vulkan: "vulkan1.2",
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Unchecked,
    loops: true,
};

/// Returns the words of the SPIR-V module.
pub fn translated(case: &Case, made: &Module, target: &Target) -> Result<Vec<u32>, String> {
    use spv::Capability as C;
    let mut capabilities = vec![C::Shader, C::Matrix];
    if case.shader.subgroups {
        capabilities.extend([
            C::GroupNonUniform,
            C::GroupNonUniformVote,
            C::GroupNonUniformArithmetic,
            C::GroupNonUniformBallot,
            C::GroupNonUniformShuffle,
            C::GroupNonUniformShuffleRelative,
            C::GroupNonUniformQuad,
        ]);
    }
    if case.is_f16() {
        capabilities.push(C::Float16);
    }
    let options = spv::Options {
        lang_version: target.version,
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        capabilities: Some(capabilities.into_iter().collect()),
        bounds_check_policies: BoundsCheckPolicies {
            index: target.index,
            buffer: target.buffer,
            image_load: target.buffer,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: target.loops,
        emit_int_div_checks: target.loops,
        // wgpu keeps the binding numbers of the source.
        fake_missing_bindings: true,
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: case.shader.name.to_owned(),
    };
    spv::write_vec(&made.module, &made.info, &options, Some(&pipeline))
        .map_err(|error| format!("{}: {error}", case.name()))
}
