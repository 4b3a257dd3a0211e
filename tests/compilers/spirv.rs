//! SPIR-V, as wgpu makes it for Vulkan.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::{self, Case};
use super::judge::{Given, all_pass, asked};
use super::module::Module;

/// What wgpu asks of naga.
#[derive(Clone, Copy)]
struct Target {
    /// The version that goes with a version of Vulkan, and the name that `spirv-val` has for that.
    version: (u8, u8),
    vulkan: &'static str,
    /// Whether indices of arrays and of buffers are held within their bounds.
    index: BoundsCheckPolicy,
    buffer: BoundsCheckPolicy,
    /// Whether loops are bounded and divisors looked at.
    loops: bool,
}

/// Each version of Vulkan that has subgroups, each with another choice of what wgpu compiles in.
const TARGETS: [Target; 3] = [
    // All of its checks.
    Target {
        version: (1, 3),
        vulkan: "vulkan1.1",
        index: BoundsCheckPolicy::Restrict,
        buffer: BoundsCheckPolicy::Restrict,
        loops: true,
    },
    // What is left of them with a driver's `robustBufferAccess2`.
    Target {
        version: (1, 5),
        vulkan: "vulkan1.2",
        index: BoundsCheckPolicy::Restrict,
        buffer: BoundsCheckPolicy::Unchecked,
        loops: true,
    },
    // `Checks::Off`.
    Target {
        version: (1, 6),
        vulkan: "vulkan1.3",
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        loops: false,
    },
];

fn translated(case: &Case, made: &Module, target: &Target) -> Result<Vec<u32>, String> {
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

fn judged(name: &str, words: &[u32], vulkan: &str) -> Result<(), String> {
    let file = Given::new(&format!("{name}.spv"), bytemuck::cast_slice(words));
    asked(
        "spirv-val",
        "spirv-tools",
        &["--target-env", vulkan],
        &[file],
    )
}

#[test]
fn spirv_val_agrees_to_every_pipeline_on_each_version_of_vulkan() {
    for target in TARGETS {
        all_pass(
            |_| true,
            |cases| {
                for (number, case, made) in cases {
                    let words = translated(case, made, &target)?;
                    judged(
                        &format!("{}-{number}", target.vulkan),
                        &words,
                        target.vulkan,
                    )
                    .map_err(|said| format!("{}: {said}", case.name()))?;
                }
                Ok(())
            },
        );
    }
}

#[test]
fn spirv_val_refuses_a_word_that_is_wrong_and_a_version_that_is_too_old() {
    let case = &cases::all()[0];
    let words = translated(case, &Module::of(case), &TARGETS[0]).unwrap();
    judged("right", &words, "vulkan1.1").unwrap();
    // The first instruction after the five words of the header is `OpCapability Shader`; there is no opcode 0xffff.
    let mut wrong = words.clone();
    wrong[5] |= 0xffff;
    let said = judged("wrong", &wrong, "vulkan1.1").unwrap_err();
    assert!(said.contains("Invalid opcode"), "{said}");
    let said = judged("old", &words, "vulkan1.0").unwrap_err();
    assert!(said.contains("Invalid SPIR-V binary version 1.3"), "{said}");
}
