//! Validates the GLSL that wgpu generates for OpenGL and OpenGL ES.

use naga::back::glsl;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::Case;
use super::validator::{TemporaryFile, Translations, all_pass, run_validator};
use ctc_wgpu_compilers::module::{Kind, Module};

/// The versions with compute shaders: ES 3.1 and 3.2, and GL from 4.3 to the newest that naga
/// supports.
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
    // wgpu compiles no bounds checks for GL: the driver checks accesses, or nothing does.
    let policies = BoundsCheckPolicies {
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        image_load: BoundsCheckPolicy::Unchecked,
        binding_array: BoundsCheckPolicy::Unchecked,
    };
    let mut source = String::new();
    glsl::Writer::new(
        &mut source,
        &made.module,
        &made.info,
        &options,
        &pipeline,
        policies,
    )?
    .write()?;
    Ok(source)
}

fn validate(files: &[TemporaryFile]) -> Result<(), String> {
    run_validator("glslangValidator", "glslang-tools", &[], files)
}

/// Includes the pipelines with subgroups. naga and glslang support them, although wgpu does not on
/// GL.
#[test]
fn glslang_accepts_every_pipeline_of_f32_in_each_version() {
    for version in versions() {
        let translations = Translations::default();
        all_pass(
            |case| !case.is_f16(),
            |cases| {
                let mut files = Vec::new();
                for (number, case, made) in cases {
                    let source = translated(case, made, version)
                        .map_err(|error| format!("{}: {error}", case.name()))?;
                    let name = format!("{version}-{number}-{}.comp", case.shader.name);
                    if translations.add(source.as_bytes()) {
                        files.push(TemporaryFile::new(&name, source.as_bytes()));
                    }
                }
                if files.is_empty() {
                    return Ok(());
                }
                validate(&files)
            },
        );
    }
}

/// This is why GL devices lack `SHADER_F16`.
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
fn glslang_rejects_an_invalid_source_and_describes_the_error() {
    let right = "#version 310 es\nlayout(local_size_x = 1) in;\nvoid main() {}\n";
    let file = |name, source: &str| TemporaryFile::new(name, source.as_bytes());
    validate(&[file("right.comp", right), file("same.comp", right)]).unwrap();
    for (source, complaint) in [
        (right.replace("{}", "{ 1 + ; }"), "syntax error"),
        (
            right.replace("{}", "{ absent(); }"),
            "no matching overloaded function",
        ),
        (right.replace("= 1", "= 100000"), "too large"),
    ] {
        let message =
            validate(&[file("good.comp", right), file("wrong.comp", &source)]).unwrap_err();
        assert!(message.contains(complaint), "{message}");
    }
}
