//! HLSL, as wgpu makes it for Direct3D 12.
use naga::back::hlsl;

use super::cases::{self, Case};
use super::judge::{Given, all_pass, asked};
use super::module::{Kind, Module};

fn translated(case: &Case, model: hlsl::ShaderModel, checks: bool) -> String {
    let made = Module::of(case);
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
        special_constants_binding: Some(hlsl::BindTarget { register: registers[0], space: 0, ..Default::default() }),
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
        .unwrap_or_else(|error| panic!("{}: {error}", case.name()));
    assert_eq!(written.entry_point_names.len(), 1);
    text
}

#[test]
fn zz() {
    let mut seen = std::collections::HashSet::new();
    for case in cases::all() {
        if !seen.insert((case.shader.name, case.is_f16(), case.shader.subgroups)) { continue; }
        let text = translated(&case, hlsl::ShaderModel::V6_2, true);
        let file = Given::new("hlsl", &format!("{}.comp", case.name()), text.as_bytes());
        println!("{}: {:?}", case.name(), asked("glslangValidator", "glslang-tools", &["-D", "-V", "--target-env", "vulkan1.1", "-e", case.shader.name, "-o", "/dev/null", file.path()]));
        if case.shader.name == "sweep" || case.shader.name == "grad" { std::mem::forget(file); }
    }
}
