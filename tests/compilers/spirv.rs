//! SPIR-V, as wgpu makes it for Vulkan.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::Case;
use super::judge::{Given, all_pass, asked};
use super::module::Module;

/// The version that wgpu asks for on each version of Vulkan that has subgroups, and the name that `spirv-val` has for it.
const TARGETS: [((u8, u8), &str); 3] = [
    ((1, 3), "vulkan1.1"),
    ((1, 5), "vulkan1.2"),
    ((1, 6), "vulkan1.3"),
];

/// What wgpu compiles in: all of its checks, those that a driver with `robustBufferAccess2` is left with, or none.
const CHECKS: [(BoundsCheckPolicy, BoundsCheckPolicy, bool); 3] = [
    (BoundsCheckPolicy::Restrict, BoundsCheckPolicy::Restrict, true),
    (BoundsCheckPolicy::Restrict, BoundsCheckPolicy::Unchecked, true),
    (BoundsCheckPolicy::Unchecked, BoundsCheckPolicy::Unchecked, false),
];

fn translated(case: &Case, version: (u8, u8), checks: usize) -> Vec<u32> {
    use spv::Capability as C;
    let (index, buffer, checked) = CHECKS[checks];
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
        // wgpu asks for SHADER_F16 only where the device has storage16 too.
        capabilities.push(C::Float16);
    }
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        capabilities: Some(capabilities.into_iter().collect()),
        bounds_check_policies: BoundsCheckPolicies {
            index,
            buffer,
            image_load: buffer,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        // wgpu names the bindings of a shader as its text does.
        fake_missing_bindings: true,
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: case.shader.name.to_owned(),
    };
    let Module { module, info } = Module::of(case);
    spv::write_vec(&module, &info, &options, Some(&pipeline))
        .unwrap_or_else(|error| panic!("{}: {error}", case.name()))
}

fn judged(name: &str, words: &[u32], target: &str) -> Result<(), String> {
    let file = Given::new("spirv", &format!("{name}.spv"), bytemuck::cast_slice(words));
    asked("spirv-val", "spirv-tools", &["--target-env", target, file.path()])
}

fn all_valid(checks: usize) {
    for (version, target) in TARGETS {
        all_pass(
            |_| true,
            |number, case| {
                let words = translated(case, version, checks);
                judged(&format!("{target}-{checks}-{number}"), &words, target)
            },
        );
    }
}

#[test]
fn spirv_val_agrees_to_every_pipeline_with_all_checks() {
    all_valid(0);
}

#[test]
fn spirv_val_agrees_to_every_pipeline_where_the_driver_bounds_buffers() {
    all_valid(1);
}

#[test]
fn spirv_val_agrees_to_every_pipeline_without_checks() {
    all_valid(2);
}

#[test]
fn spirv_val_refuses_a_word_that_is_wrong() {
    let case = &super::cases::all()[0];
    let words = translated(case, (1, 3), 0);
    judged("right", &words, "vulkan1.1").unwrap();
    // The first instruction after the five words of the header is `OpCapability Shader`; there is no opcode 0xffff.
    let mut wrong = words.clone();
    wrong[5] |= 0xffff;
    let said = judged("wrong", &wrong, "vulkan1.1").unwrap_err();
    assert!(said.contains("Invalid opcode"), "{said}");
    // A module that asks for subgroups is none of Vulkan 1.0.
    let subgroups = super::cases::all().into_iter().find(|case| case.shader.subgroups).unwrap();
    let said = judged("early", &translated(&subgroups, (1, 3), 0), "vulkan1.0").unwrap_err();
    assert!(said.contains("Invalid SPIR-V binary version 1.3"), "{said}");
}
