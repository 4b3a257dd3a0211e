//! Validates the SPIR-V that wgpu generates for Vulkan.

use naga::proc::BoundsCheckPolicy;

use super::cases;
use super::validator::{TemporaryFile, Translations, all_pass, run_validator};
use ctc_wgpu_compilers::module::Module;
use ctc_wgpu_compilers::to_spirv::{ROBUST, Target, translated};

/// The versions of Vulkan with subgroups, each with another set of runtime checks compiled in.
const TARGETS: [Target; 3] = [
    // All checks.
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

fn validate(name: &str, words: &[u32], vulkan: &str) -> Result<(), String> {
    let file = TemporaryFile::new(&format!("{name}.spv"), bytemuck::cast_slice(words));
    run_validator(
        "spirv-val",
        "spirv-tools",
        &["--target-env", vulkan],
        &[file],
    )
}

#[test]
fn spirv_val_accepts_every_pipeline_on_each_version_of_vulkan() {
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
                    validate(
                        &format!("{}-{number}", target.vulkan),
                        &words,
                        target.vulkan,
                    )
                    .map_err(|message| format!("{}: {message}", case.name()))?;
                }
                Ok(())
            },
        );
    }
}

#[test]
fn spirv_val_rejects_an_invalid_word_and_a_version_that_is_too_old() {
    let case = &cases::all()[0];
    let words = translated(case, &Module::of(case), &TARGETS[0]).unwrap();
    validate("right", &words, "vulkan1.1").unwrap();
    // The first instruction after the five words of the header is `OpCapability Shader`. 0xffff is
    // not a valid opcode.
    let mut wrong = words.clone();
    wrong[5] |= 0xffff;
    let message = validate("wrong", &wrong, "vulkan1.1").unwrap_err();
    assert!(message.contains("Invalid opcode"), "{message}");
    let message = validate("old", &words, "vulkan1.0").unwrap_err();
    assert!(
        message.contains("Invalid SPIR-V binary version 1.3"),
        "{message}"
    );
}
