//! Tests that the variant of a plan agrees with its dispatches, whatever their printed names are.

use super::{constant, each_plan};
use crate::batch::BatchShape;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::{Plan, PlanVariant, Task};

const TASKS: [Task; 4] = [Task::Loss, Task::LossAndGrad, Task::Align, Task::Greedy];

/// Returns plans of three shapes within limits that each split the batch in another way, or select
/// other kernels.
fn plans(task: Task) -> Vec<Plan> {
    let default = DeviceLimits::default();
    let bound = |max_binding| DeviceLimits {
        max_binding,
        ..default
    };
    let within = [
        default,
        DeviceLimits {
            subgroup_size: 8,
            software: true,
            ..default
        },
        DeviceLimits {
            max_register_quads: 0,
            ..default
        },
        default.subgroup_size(16),
        default.max_dispatch_us(400),
        bound(60_000),
        bound(20_000),
        bound(6_144),
    ];
    // With few classes and many labels, the states of an item are larger than its logits. With many
    // classes and few labels, `softmax_stats` writes the gradient.
    let shapes = [
        BatchShape::new(7, 90, 40, 25),
        BatchShape::new(1, 400, 2, 40),
        BatchShape::new(3, 20, 200, 2),
    ];
    // The lowest limits are too low for some shapes.
    let plan = |shape, limits| Plan::new(shape, &Options::default(), task, limits).ok();
    let of_shape = |shape| within.iter().filter_map(move |limits| plan(shape, limits));
    shapes.iter().flat_map(of_shape).collect()
}

#[test]
fn each_field_has_both_values_among_the_plans_of_a_task() {
    type Field = (&'static str, fn(&PlanVariant) -> bool, &'static [Task]);
    let fields: [Field; 9] = [
        ("subgroups", |v| v.subgroups, &TASKS),
        ("windows", |v| v.windows, &TASKS[..2]),
        ("states in storage", |v| v.states_in_storage, &TASKS[..3]),
        ("checkpointed", |v| v.checkpointed, &TASKS[1..3]),
        ("gathered", |v| v.gathered, &TASKS[..3]),
        ("row gradient", |v| v.row_gradient, &TASKS[1..2]),
        ("batch tiles", |v| v.batch_tiles > 1, &TASKS),
        ("input slices", |v| v.input_slices > 1, &TASKS),
        ("ranges", |v| v.ranges, &TASKS[..3]),
    ];
    for task in TASKS {
        let variants: Vec<_> = plans(task).iter().map(Plan::variant).collect();
        for (name, is_set, tasks) in &fields {
            let set = variants.iter().filter(|variant| is_set(variant)).count();
            assert!(set < variants.len(), "{name}: {task:?} has no other value");
            assert_eq!(set > 0, tasks.contains(&task), "{name}: {task:?}");
        }
    }
}

fn agrees(plan: &Plan) {
    let variant = plan.variant();
    let labelled = |label| plan.dispatches.iter().any(|d| d.label == label);
    let runs = |kernel| plan.dispatches.iter().any(|d| d.kernel.name == kernel);
    let repeats = labelled("sweep recompute") || labelled("viterbi recompute");
    assert_eq!(variant.checkpointed, repeats, "{plan}");
    let stored = runs("sweep_long") || runs("viterbi_long");
    assert_eq!(variant.states_in_storage, stored, "{plan}");
    // All recursions of a plan are of one kind.
    assert!(!(stored && (runs("sweep") || runs("viterbi"))), "{plan}");
    let recursions = plan
        .dispatches
        .iter()
        .filter(|d| d.constant("READ_GATHERED").is_some());
    for dispatch in recursions {
        let gathered = constant(dispatch, "READ_GATHERED") == 1;
        assert_eq!(variant.gathered, gathered, "{plan}");
    }
    let has_subgroups = plan.shaders().any(|(shader, _)| shader.subgroups);
    assert_eq!(variant.subgroups, has_subgroups, "{plan}");
    assert_eq!(variant.batch_tiles, plan.batch_tiles(), "{plan}");
    if plan.batch_tiles() > 0 {
        assert_eq!(variant.input_slices, plan.input_slices(), "{plan}");
    }
}

#[test]
fn the_variant_agrees_with_the_dispatches() {
    each_plan(|plan, _| agrees(plan));
    for task in TASKS {
        plans(task).iter().for_each(agrees);
    }
}

#[test]
fn the_variant_does_not_depend_on_the_printed_names_of_the_dispatches() {
    for task in TASKS {
        for plan in plans(task) {
            let mut renamed = plan.clone();
            renamed
                .dispatches
                .iter_mut()
                .for_each(|d| d.label = "sweep recompute");
            assert_ne!(renamed.to_string(), plan.to_string());
            assert_eq!(renamed.variant(), plan.variant());
        }
    }
}
