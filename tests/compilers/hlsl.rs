//! HLSL, as wgpu makes it for Direct3D 12. Microsoft's compilers are not to be had here; glslang reads most of the language.
//!
//! What it does not read: `Load<half>` of shader model 6.2, so that nobody judges the texts of f16 outside Windows; and a
//! cast of 0 to an array of structs, in whose place it is given a variable.

use naga::back::hlsl;

use super::judge::{Given, Translations, all_pass, asked};
use super::to_hlsl::{least, translated};

fn judged(name: &str, entry: &str, text: &str) -> Result<(), String> {
    let text = text
        .replace(
            "return (Weights[4])0;",
            "Weights nothing[4]; return nothing;",
        )
        .replace(" = (Weights[4])0;", ";");
    let file = Given::new(&format!("{name}.comp"), text.as_bytes());
    let output = Given::new(&format!("{name}.hlsl.spv"), &[]);
    asked(
        "glslangValidator",
        "glslang-tools",
        // Wave intrinsics need a target that has subgroups. It does not read HLSL without translating it.
        &[
            "-D",
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
                    translated(case, made, least(case), checks)?;
                    translated(case, made, hlsl::ShaderModel::V6_6, checks)?;
                }
                Ok(())
            },
        );
    }
}

#[test]
fn glslang_agrees_to_every_pipeline_of_f32() {
    let translations = Translations::default();
    all_pass(
        |case| !case.is_f16(),
        |cases| {
            for (number, case, made) in cases {
                let text = translated(case, made, least(case), true)?;
                if !translations.add(text.as_bytes()) {
                    continue;
                }
                judged(&format!("hlsl-{number}"), case.shader.name, &text)
                    .map_err(|said| format!("{}: {said}", case.name()))?;
            }
            Ok(())
        },
    );
}

#[test]
fn glslang_refuses_a_text_that_is_wrong_and_does_not_know_f16() {
    let right = "[numthreads(1, 1, 1)] void main() {}";
    judged("hlsl-right", "main", right).unwrap();
    let said = judged(
        "hlsl-wrong",
        "main",
        "[numthreads(1, 1, 1)] void main() { absent(); }",
    )
    .unwrap_err();
    assert!(said.contains("no matching overloaded function"), "{said}");
    let said = judged("hlsl-entry", "other", right).unwrap_err();
    assert!(
        said.contains("other") || said.to_lowercase().contains("entry point"),
        "{said}"
    );

    let half = "ByteAddressBuffer b : register(t0); RWByteAddressBuffer c : register(u0);
        [numthreads(1, 1, 1)] void main() { c.Store<half>(0, b.Load<half>(0)); }";
    let said = judged("hlsl-half", "main", half).unwrap_err();
    assert!(
        said.contains("'Load' : no such field") || said.contains("'Store' : no such field"),
        "{said}"
    );
}
