//! A case as SPIR-V, as wgpu translates it for Vulkan.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::case::Case;
use super::module::Module;

/// What wgpu asks of naga.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The version that goes with a version of Vulkan, and the name that `spirv-val` has for that.
    pub(crate) version: (u8, u8),
    pub(crate) vulkan: &'static str,
    /// Whether indices of arrays and of buffers are held within their bounds.
    pub(crate) index: BoundsCheckPolicy,
    pub(crate) buffer: BoundsCheckPolicy,
    /// Whether loops are bounded and divisors looked at.
    pub(crate) loops: bool,
}

/// What remains of the checks on a driver with `robustBufferAccess2`, as desktop drivers have it.
pub(crate) const ROBUST: Target = Target {
    version: (1, 5),
    vulkan: "vulkan1.2",
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Unchecked,
    loops: true,
};

/// The words of the SPIR-V.
pub(crate) fn translated(case: &Case, made: &Module, target: &Target) -> Result<Vec<u32>, String> {
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
        // wgpu names the bindings of a shader as its text does.
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
