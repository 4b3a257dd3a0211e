//! Translates to MSL as wgpu does for Metal.
//!
//! Only Apple's compiler validates MSL. This test compares the entry point and the bindings of
//! naga's translation with those that wgpu uses.

use naga::back::msl;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

use super::cases::Case;
use super::validator::all_pass;
use ctc_wgpu_compilers::module::{Kind, Module};

/// From macOS 10.15 to the newest that naga supports.
const VERSIONS: [(u8, u8); 3] = [(2, 2), (3, 1), (4, 0)];

fn translated(case: &Case, made: &Module, version: (u8, u8), checks: bool) -> Result<(), String> {
    let bindings = made.bindings();
    let resources = bindings
        .iter()
        .zip(0..)
        .map(|((binding, kind), slot)| {
            let target = msl::BindTarget {
                buffer: Some(slot),
                mutable: *kind == Kind::Written,
                ..msl::BindTarget::default()
            };
            (*binding, target)
        })
        .collect();
    let entry = msl::EntryPointResources {
        resources,
        immediates_buffer: None,
        sizes_buffer: Some(u8::try_from(bindings.len()).unwrap()),
    };
    let policy = if checks {
        BoundsCheckPolicy::Restrict
    } else {
        BoundsCheckPolicy::Unchecked
    };
    let options = msl::Options {
        lang_version: version,
        per_entry_point_map: [(case.shader.name.to_owned(), entry)].into_iter().collect(),
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: checks,
        emit_int_div_checks: checks,
        ..msl::Options::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, case.shader.name.to_owned())),
        ..msl::PipelineOptions::default()
    };
    let (source, written) = msl::write_string(&made.module, &made.info, &options, &pipeline)
        .map_err(|error| error.to_string())?;
    let name = written.entry_point_names[0]
        .as_ref()
        .map_err(|error| error.to_string())?;
    contains_once(&source, &format!("kernel void {name}("))?;
    for slot in 0..bindings.len() {
        contains_once(&source, &format!("[[buffer({slot})]]"))?;
    }
    Ok(())
}

fn contains_once(source: &str, part: &str) -> Result<(), String> {
    match source.matches(part).count() {
        1 => Ok(()),
        count => Err(format!("`{part}` occurs {count} times")),
    }
}

#[test]
fn naga_translates_every_pipeline_with_its_entry_point_and_bindings() {
    all_pass(
        |_| true,
        |cases| {
            for (_, case, made) in cases {
                for version in VERSIONS {
                    for checks in [true, false] {
                        translated(case, made, version, checks)
                            .map_err(|message| format!("{}: {message}", case.name()))?;
                    }
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_missing_binding_is_a_failure() {
    let message = contains_once(
        "kernel void sweep(device int* a [[buffer(0)]])",
        "[[buffer(1)]]",
    )
    .unwrap_err();
    assert!(message.contains("0 times"), "{message}");
}
