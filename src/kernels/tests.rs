//! Compares the Rust side of the kernels with their WGSL sources, by naga's reflection.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::mem::offset_of;
use std::path::Path;

use naga::{AddressSpace, StorageAccess, TypeInner};

use super::{Access, ArrayId, ElementType, KERNELS, Kernel, SourceVariant, variants};
use crate::batch::BatchShape;
use crate::limits::DeviceLimits;
use crate::options::{Options, Reduction, Status};
use crate::params::Params;
use crate::plan::{Plan, Task};

fn module(kernel: &Kernel, variant: SourceVariant) -> naga::Module {
    let mut capabilities = naga::valid::Capabilities::empty();
    if variant.element == ElementType::F16 {
        capabilities |= naga::valid::Capabilities::SHADER_FLOAT16
            | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    if variant.subgroups {
        capabilities |= naga::valid::Capabilities::SUBGROUP;
    }
    let source = kernel.source(variant);
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(&source)));
    module
}

#[test]
fn each_kernel_is_valid_and_has_one_entry_point_of_its_name() {
    for (kernel, variant) in variants() {
        let module = module(kernel, variant);
        let names: Vec<_> = module
            .entry_points
            .iter()
            .map(|e| e.name.as_str())
            .collect();
        assert_eq!(names, [kernel.name]);
    }
}

#[test]
fn the_bindings_of_a_kernel_are_those_of_its_source_with_their_access() {
    for (kernel, variant) in variants() {
        let module = module(kernel, variant);
        let mut found: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, global)| {
                let binding = global.binding.as_ref()?;
                assert_eq!(binding.group, 0);
                Some((binding.binding, global.space, global.name.clone().unwrap()))
            })
            .collect();
        found.sort_by_key(|(number, ..)| *number);
        assert_eq!(found[0], (0, AddressSpace::Uniform, "params".to_owned()));
        let bound: Vec<_> = (0..kernel.bindings.len())
            .filter_map(|index| Some((index, kernel.access(index, variant)?)))
            .collect();
        assert_eq!(found.len(), 1 + bound.len(), "{}", kernel.name);
        assert!(kernel.bindings.len() <= DeviceLimits::STORAGE_BUFFERS as usize);
        for ((index, access), (number, space, name)) in bound.into_iter().zip(&found[1..]) {
            assert_eq!(*number as usize, index + 1, "{} {name}", kernel.name);
            let access = match access {
                Access::Read => StorageAccess::LOAD,
                Access::Write => StorageAccess::LOAD | StorageAccess::STORE,
            };
            assert_eq!(
                *space,
                AddressSpace::Storage { access },
                "{} {name}",
                kernel.name
            );
            assert_eq!(name, wgsl_name(kernel.bindings[index].0), "{}", kernel.name);
        }
    }
}

/// Returns the name of an array in WGSL. It differs from the name in Rust only if an entry point
/// has that name.
fn wgsl_name(array: ArrayId) -> &'static str {
    match array {
        ArrayId::Grad => "gradient",
        ArrayId::Path => "path_classes",
        ArrayId::Spans => "label_spans",
        array => array.name(),
    }
}

#[test]
fn the_uniform_has_the_same_fields_at_the_same_offsets_in_both_languages() {
    macro_rules! fields {
        ($($name:ident),*) => { vec![$((stringify!($name), offset_of!(Params, $name))),*] };
    }
    let rust = fields!(
        frames,
        classes,
        blank,
        epsilon,
        items,
        label_stride,
        tile_items,
        item_base,
        label_capacity,
        quads,
        first_frame,
        slice_frames,
        input_base,
        item_rows,
        frame_rows,
        first_step,
        end_step,
        segment_begin,
        segment_end,
        carry_row,
        checkpoint_row,
        spill_row,
        first_item,
        label_base,
        first_dispatch,
        second_base,
        unused
    );
    for kernel in KERNELS {
        let module = module(kernel, SourceVariant::PLAIN);
        let (_, params) = module
            .types
            .iter()
            .find(|(_, t)| t.name.as_deref() == Some("Params"))
            .unwrap();
        let TypeInner::Struct { members, span } = &params.inner else {
            panic!("Params is not a struct");
        };
        assert_eq!(*span as usize, size_of::<Params>());
        assert!(
            span.is_multiple_of(16),
            "GL rounds a uniform up to 16 bytes"
        );
        for (member, (name, offset)) in members.iter().zip(&rust) {
            assert_eq!(
                (member.name.as_deref(), member.offset as usize),
                (Some(*name), *offset)
            );
        }
        // The padding is an array in Rust and two fields in WGSL.
        assert_eq!(members.len(), rust.len() + 1);
    }
}

#[test]
fn each_constant_of_a_plan_is_an_override_of_its_kernel() {
    let shape = BatchShape::new(4, 50, 20, 6).concatenated();
    let options = Options {
        reduction: Reduction::MeanVolume,
        ..Options::default()
    };
    let long = BatchShape::new(1, 3_000, 20, 2_000);
    let mut dispatches = Vec::new();
    for shape in [&shape, &long] {
        for task in [Task::LossAndGrad, Task::Align, Task::Greedy] {
            let plan = Plan::new(shape, &options, task, &DeviceLimits::default()).unwrap();
            dispatches.extend(plan.dispatches);
        }
    }
    for kernel in KERNELS {
        assert!(
            dispatches.iter().any(|dispatch| dispatch.kernel == kernel),
            "no dispatch runs {}",
            kernel.name
        );
    }
    for dispatch in &dispatches {
        let variant = SourceVariant {
            sweep: dispatch.sweep,
            ..SourceVariant::PLAIN
        };
        let module = module(dispatch.kernel, variant);
        let overrides: Vec<_> = module
            .overrides
            .iter()
            .filter_map(|(_, o)| o.name.as_deref())
            .collect();
        for (name, _) in &dispatch.constants {
            assert!(
                overrides.contains(name),
                "{} has no override {name}",
                dispatch.kernel.name
            );
        }
    }
}

#[test]
fn statuses_have_the_numbers_that_kernels_write() {
    let module = module(&super::CHECK_LABELS, SourceVariant::PLAIN);
    let number = |name: &str| {
        let (_, constant) = module
            .constants
            .iter()
            .find(|(_, c)| c.name.as_deref() == Some(name))
            .unwrap();
        match module.global_expressions[constant.init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => value,
            ref other => panic!("{name} is {other:?}"),
        }
    };
    for (name, status) in [
        ("OK", Status::Ok),
        ("IMPOSSIBLE", Status::Impossible),
        ("NOT_FINITE", Status::NotFinite),
        ("BAD_LABEL", Status::BadLabel),
        ("BAD_LENGTH", Status::BadLength),
    ] {
        assert_eq!(number(name), status as u32, "{name}");
        assert_eq!(Status::from_code(number(name)), Some(status));
    }
    assert_eq!(Status::from_code(5), None);
}

#[test]
fn each_kernel_has_a_wgsl_file_and_a_file_of_the_cpu_backend() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kernel in KERNELS {
        // On the CPU, rows of any length are in memory, so no kernel for long labels is needed.
        let stage = kernel.name.trim_end_matches("_long");
        let (folder, stage) = match stage {
            // The CPU backend implements alignment in one file.
            "viterbi" | "backtrace" | "path" | "spans" | "path_log_prob" => {
                ("decode/", "decode/align")
            }
            "collapse" => ("decode/", "decode/greedy"),
            "check_labels" => ("", "cpu/item"),
            "label_links" => ("", "cpu/item_classes"),
            stage => ("", &*format!("cpu/{stage}")),
        };
        for file in [
            format!("shaders/{folder}{}.wgsl", kernel.name),
            format!("src/{stage}.rs"),
        ] {
            assert!(root.join(&file).is_file(), "{file} is missing");
        }
    }
    for shared in ["scaled", "states", "index"] {
        for file in [
            format!("shaders/shared/{shared}.wgsl"),
            format!("src/cpu/{shared}.rs"),
        ] {
            assert!(root.join(&file).is_file(), "{file} is missing");
        }
    }
}
