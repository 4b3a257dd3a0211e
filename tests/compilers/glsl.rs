//! GLSL, as wgpu makes it for OpenGL and OpenGL ES.

use naga::back::glsl;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::Case;
use super::judge::{Given, Translations, all_pass, asked};
use super::module::{Kind, Module};

/// The versions with compute shaders: ES 3.1 and 3.2, and GL from 4.3 to the newest that naga knows.
fn versions() -> [glsl::Version; 4] {
    [
        glsl::Version::new_gles(310),
        glsl::Version::new_gles(320),
        glsl::Version::Desktop(430),
        glsl::Version::Desktop(450),
    ]
}

fn translated(case: &Case, made: &Module, version: glsl::Version) -> Result<String, glsl::Error> {
    let (mut uniforms, mut buffers) = (0, 0);
    let slots = made.bindings().into_iter().map(|(binding, kind)| {
        let slot = match kind {
            Kind::Uniform => &mut uniforms,
            Kind::Read | Kind::Written => &mut buffers,
        };
        *slot += 1;
        (binding, *slot - 1)
    });
    let options = glsl::Options {
        version,
        writer_flags: glsl::WriterFlags::ADJUST_COORDINATE_SPACE
            | glsl::WriterFlags::FORCE_POINT_SIZE,
        binding_map: slots.collect(),
        zero_initialize_workgroup_memory: false,
    };
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: case.shader.name.to_owned(),
        multiview: None,
    };
    // GL bounds what is read and written by itself, or not at all.
    let policies = BoundsCheckPolicies {
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        image_load: BoundsCheckPolicy::Unchecked,
        binding_array: BoundsCheckPolicy::Unchecked,
    };
    let mut text = String::new();
    glsl::Writer::new(
        &mut text,
        &made.module,
        &made.info,
        &options,
        &pipeline,
        policies,
    )?
    .write()?;
    Ok(text)
}

fn judged(files: &[Given]) -> Result<(), String> {
    asked("glslangValidator", "glslang-tools", &[], files)
}

/// wgpu has no subgroups on GL, but naga can write them, and the judge knows them.
#[test]
fn glslang_agrees_to_every_pipeline_of_f32_in_each_version() {
    for version in versions() {
        let translations = Translations::default();
        all_pass(
            |case| !case.is_f16(),
            |cases| {
                let mut files = Vec::new();
                for (number, case, made) in cases {
                    let text = translated(case, made, version)
                        .map_err(|error| format!("{}: {error}", case.name()))?;
                    let name = format!("{version}-{number}-{}.comp", case.shader.name);
                    if translations.add(text.as_bytes()) {
                        files.push(Given::new(&name, text.as_bytes()));
                    }
                }
                if files.is_empty() {
                    return Ok(());
                }
                judged(&files)
            },
        );
    }
}

/// Which is why a GL device has no `SHADER_F16`.
#[test]
fn glsl_has_no_f16() {
    for version in versions() {
        all_pass(Case::is_f16, |cases| {
            for (_, case, made) in cases {
                match translated(case, made, version) {
                    Err(glsl::Error::UnsupportedScalar(naga::Scalar {
                        kind: naga::ScalarKind::Float,
                        width: 2,
                    })) => {}
                    other => return Err(format!("{}: {other:?}", case.name())),
                }
            }
            Ok(())
        });
    }
}

#[test]
fn glslang_refuses_a_text_that_is_wrong_and_says_which() {
    let right = "#version 310 es\nlayout(local_size_x = 1) in;\nvoid main() {}\n";
    let given = |name, text: &str| Given::new(name, text.as_bytes());
    judged(&[given("right.comp", right), given("same.comp", right)]).unwrap();
    for (text, complaint) in [
        (right.replace("{}", "{ 1 + ; }"), "syntax error"),
        (
            right.replace("{}", "{ absent(); }"),
            "no matching overloaded function",
        ),
        (right.replace("= 1", "= 100000"), "too large"),
    ] {
        let said = judged(&[given("good.comp", right), given("wrong.comp", &text)]).unwrap_err();
        assert!(said.contains(complaint), "{said}");
    }
}
