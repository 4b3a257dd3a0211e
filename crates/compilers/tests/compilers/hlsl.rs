//! Validates the HLSL that wgpu generates for Direct3D 12.
//!
//! Microsoft's compilers are not available here, and glslang supports most of the language. It does
//! not support `Load<half>` of shader model 6.2, so the f16 sources are validated only on Windows,
//! nor a cast of 0 to an array of structs, which is replaced by a variable.

use naga::back::hlsl;

use super::validator::{TemporaryFile, Translations, all_pass, run_validator};
use ctc_wgpu_compilers::to_hlsl::{min_shader_model, translated};

fn validate(name: &str, entry: &str, source: &str) -> Result<(), String> {
    let source = source
        .replace(
            "return (Weights[4])0;",
            "Weights nothing[4]; return nothing;",
        )
        .replace(" = (Weights[4])0;", ";");
    let file = TemporaryFile::new(&format!("{name}.comp"), source.as_bytes());
    let output = TemporaryFile::new(&format!("{name}.hlsl.spv"), &[]);
    run_validator(
        "glslangValidator",
        "glslang-tools",
        // Wave intrinsics require a target with subgroups, and glslang validates HLSL only while
        // translating it.
        &[
            "-D",
            "-Od",
            "-e",
            entry,
            "--target-env",
            "vulkan1.1",
            "-V",
            "-o",
            output.path(),
        ],
        &[file],
    )
}

#[test]
fn naga_translates_every_pipeline_with_its_entry_point_and_bindings() {
    for checks in [true, false] {
        all_pass(
            |_| true,
            |cases| {
                for (_, case, made) in cases {
                    translated(case, made, min_shader_model(case), checks)?;
                    translated(case, made, hlsl::ShaderModel::V6_6, checks)?;
                }
                Ok(())
            },
        );
    }
}

#[test]
fn glslang_accepts_every_pipeline_of_f32() {
    let translations = Translations::default();
    all_pass(
        |case| !case.is_f16(),
        |cases| {
            for (number, case, made) in cases {
                let source = translated(case, made, min_shader_model(case), true)?;
                if !translations.add(source.as_bytes()) {
                    continue;
                }
                validate(&format!("hlsl-{number}"), case.shader.name, &source)
                    .map_err(|message| format!("{}: {message}", case.name()))?;
            }
            Ok(())
        },
    );
}

#[test]
fn glslang_rejects_an_invalid_source_and_does_not_support_f16() {
    let right = "[numthreads(1, 1, 1)] void main() {}";
    validate("hlsl-right", "main", right).unwrap();
    let message = validate(
        "hlsl-wrong",
        "main",
        "[numthreads(1, 1, 1)] void main() { absent(); }",
    )
    .unwrap_err();
    assert!(
        message.contains("no matching overloaded function"),
        "{message}"
    );
    let message = validate("hlsl-entry", "other", right).unwrap_err();
    assert!(
        message.contains("other") || message.to_lowercase().contains("entry point"),
        "{message}"
    );

    let half = "ByteAddressBuffer b : register(t0); RWByteAddressBuffer c : register(u0);
        [numthreads(1, 1, 1)] void main() { c.Store<half>(0, b.Load<half>(0)); }";
    let message = validate("hlsl-half", "main", half).unwrap_err();
    assert!(
        message.contains("'Load' : no such field") || message.contains("'Store' : no such field"),
        "{message}"
    );
}
