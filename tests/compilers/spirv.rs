//! SPIR-V, as wgpu makes it for Vulkan.

use naga::proc::BoundsCheckPolicy;

use super::cases;
use super::judge::{Given, Translations, all_pass, asked};
use super::module::Module;
use super::to_spirv::{ROBUST, Target, translated};

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
    ROBUST,
    // `RuntimeChecks::Off`.
    Target {
        version: (1, 6),
        vulkan: "vulkan1.3",
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        loops: false,
    },
];

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
        let translations = Translations::default();
        all_pass(
            |_| true,
            |cases| {
                for (number, case, made) in cases {
                    let words = translated(case, made, &target)?;
                    if !translations.add(bytemuck::cast_slice(&words)) {
                        continue;
                    }
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
