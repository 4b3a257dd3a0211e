//! GLSL, as wgpu makes it for OpenGL and OpenGL ES.

use naga::back::glsl;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::{self, Case};
use super::judge::{Given, all_pass, asked};
use super::module::{Kind, Module};

const ES: fn(u16) -> glsl::Version = glsl::Version::new_gles;

/// The versions with compute shaders: ES 3.1 and 3.2, and GL from 4.3 to the newest that naga knows.
fn versions() -> [glsl::Version; 4] {
    [
        ES(310),
        ES(320),
        glsl::Version::Desktop(430),
        glsl::Version::Desktop(450),
    ]
}

fn translated(case: &Case, version: glsl::Version) -> Result<String, glsl::Error> {
    let made = Module::of(case);
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

/// glslang names the file that it reads; what it says beyond that is a complaint.
fn judged(name: &str, text: &str) -> Result<(), String> {
    let file = Given::new("glsl", &format!("{name}.comp"), text.as_bytes());
    asked("glslangValidator", "glslang-tools", &["-s", file.path()])
        .and_then(|()| Ok(()))
        .map_err(|said| said + &asked("glslangValidator", "glslang-tools", &[file.path()]).unwrap_err())
}

#[test]
fn glslang_agrees_to_every_pipeline_of_gl() {
    for version in versions() {
        all_pass(
            |case| !case.shader.subgroups && !case.is_f16(),
            |number, case| {
                let text = translated(case, version).map_err(|error| error.to_string())?;
                judged(&format!("{version}-{number}"), &text)
            },
        );
    }
}

#[test]
fn zz() {
    for version in versions() {
        for case in cases::all() {
            if case.shader.subgroups || case.is_f16() {
            let r = translated(&case, version);
            println!("{version} {} {:?}", case.name(), r.map(|t| { let c = case.clone(); judged("x", &t).map_err(|e| e[..e.len().min(400)].to_owned()) }));
            }
        }
    }
}
