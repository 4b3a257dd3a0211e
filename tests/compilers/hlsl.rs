//! HLSL, as wgpu makes it for Direct3D 12. Microsoft's compilers are not to be had here; glslang reads most of the language.
//!
//! What it does not read: `Load<half>` of shader model 6.2, so that nobody judges the texts of f16 outside Windows; and a
//! cast of 0 to an array of structs, in whose place it is given a variable.

use naga::back::hlsl;

use super::cases::Case;
use super::judge::{Given, all_pass, asked};
use super::module::{Kind, Module};

/// The least that wgpu needs of a device for what the text asks.
fn least(case: &Case) -> hlsl::ShaderModel {
    match (case.is_f16(), case.shader.subgroups) {
        (true, _) => hlsl::ShaderModel::V6_2,
        (false, true) => hlsl::ShaderModel::V6_0,
        (false, false) => hlsl::ShaderModel::V5_1,
    }
}

fn translated(
    case: &Case,
    made: &Module,
    model: hlsl::ShaderModel,
    checks: bool,
) -> Result<String, String> {
    let mut registers = [0; 3];
    let binding_map = made
        .bindings()
        .into_iter()
        .map(|(binding, kind)| {
            let register = &mut registers[kind as usize];
            *register += 1;
            let target = hlsl::BindTarget {
                space: 0,
                register: *register - 1,
                binding_array_size: None,
                dynamic_storage_buffer_offsets_index: None,
                restrict_indexing: kind != Kind::Uniform,
            };
            (binding, target)
        })
        .collect();
    let options = hlsl::Options {
        shader_model: model,
        binding_map,
        fake_missing_bindings: false,
        // wgpu keeps the dispatch's grid there.
        special_constants_binding: Some(hlsl::BindTarget {
            register: registers[0],
            ..hlsl::BindTarget::default()
        }),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: checks,
        force_loop_bounding: checks,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, case.shader.name.to_owned())),
    };
    let mut text = String::new();
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    let written = writer
        .write(&made.module, &made.info, None)
        .map_err(|error| format!("{}: {error}", case.name()))?;
    let entry = written.entry_point_names[0].as_deref();
    assert_eq!(entry, Ok(case.shader.name));
    for (kind, letter) in [
        (Kind::Uniform, 'b'),
        (Kind::Read, 't'),
        (Kind::Written, 'u'),
    ] {
        for register in 0..registers[kind as usize] {
            let bound = format!(": register({letter}{register})");
            assert_eq!(text.matches(&bound).count(), 1, "{}: {bound}", case.name());
        }
    }
    Ok(text)
}

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
    all_pass(
        |case| !case.is_f16(),
        |cases| {
            for (number, case, made) in cases {
                let text = translated(case, made, least(case), true)?;
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
