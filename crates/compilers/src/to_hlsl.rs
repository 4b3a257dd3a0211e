//! Translates a case to HLSL, as wgpu does for Direct3D 12.

use naga::back::hlsl;

use super::case::Case;
use super::module::{Kind, Module};

/// Returns the lowest shader model with which wgpu can compile the case.
pub fn min_shader_model(case: &Case) -> hlsl::ShaderModel {
    match (case.is_f16(), case.shader.subgroups) {
        (true, _) => hlsl::ShaderModel::V6_2,
        (false, true) => hlsl::ShaderModel::V6_0,
        (false, false) => hlsl::ShaderModel::V5_1,
    }
}

/// Returns the HLSL source.
pub fn translated(
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
        // wgpu passes the size of the grid there.
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
    let mut source = String::new();
    let mut writer = hlsl::Writer::new(&mut source, &options, &pipeline);
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
            assert_eq!(
                source.matches(&bound).count(),
                1,
                "{}: {bound}",
                case.name()
            );
        }
    }
    Ok(source)
}
