//! Tests of plans, which need no device because plans are plain data.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cost;
mod coverage;
mod extreme;
mod memory;
mod rejections;
mod variant;

use std::collections::{BTreeSet, HashMap};

use super::sweep::sweep_lanes;
use super::{BindingRange, Iterations, Plan, PlannedDispatch, Task};
use crate::batch::{BatchShape, LabelLayout};
use crate::error::PlanError;
use crate::kernels::{self, Access, ArrayId, SourceVariant};
use crate::limits::DeviceLimits;
use crate::options::{Options, Reduction};

/// The default limits, and variants with lower and higher ones.
fn limits() -> Vec<DeviceLimits> {
    let default = DeviceLimits::default();
    vec![
        default,
        DeviceLimits {
            max_binding: 200_192,
            ..default
        },
        DeviceLimits {
            max_binding: 1 << 26,
            offset_alignment: 32,
            ..default
        },
        DeviceLimits {
            max_invocations: 32,
            workgroup_memory: 8_192,
            ..default
        },
        DeviceLimits {
            max_binding: 2 << 30,
            max_buffer: 4 << 30,
            max_invocations: 1_024,
            ..default
        },
    ]
}

fn shapes() -> Vec<BatchShape> {
    let mut shapes = Vec::new();
    for [items, frames, classes, labels] in [
        [0, 0, 1, 0],
        [1, 1, 1, 1],
        [5, 0, 7, 2],
        [3, 2, 5, 9],
        [32, 50, 20, 6],
        [64, 150, 5_000, 20],
        [4, 2_000, 128, 500],
        [2, 10_000, 30, 3_000],
        [1, 180_000, 32, 20_000],
        [70_000, 4, 3, 2],
        [2, 3, 40_000, 100_000],
    ] {
        let shape = BatchShape::new(items, frames, classes, labels);
        shapes.extend([
            shape,
            shape.time_major(),
            shape.concatenated(),
            shape.time_major().concatenated(),
        ]);
    }
    shapes
}

/// Calls `check` with the plan of every shape, within every set of limits, that can be planned.
fn each_plan(check: impl Fn(&Plan, &DeviceLimits)) {
    let mut made = 0;
    let mut split = [false; 3];
    for limits in limits() {
        for shape in shapes() {
            for (task, reduction) in [
                (Task::LossAndGrad, Reduction::MeanVolume),
                (Task::Loss, Reduction::None),
                (Task::Align, Reduction::MeanVolume),
                (Task::Greedy, Reduction::Sum),
            ] {
                let options = Options {
                    reduction,
                    ..Options::default()
                };
                match Plan::new(&shape, &options, task, &limits) {
                    Ok(plan) => {
                        made += 1;
                        split[0] |= plan.batch_tiles() > 1;
                        split[1] |= plan.segments() > 1;
                        split[2] |= plan.input_slices() > 1;
                        check(&plan, &limits);
                    }
                    // Only if a single row or item exceeds a lowered limit.
                    Err(PlanError::Limit {
                        limit, needs, has, ..
                    }) => {
                        assert!(
                            ["max_storage_buffer_binding_size", "max_buffer_size"].contains(&limit)
                        );
                        assert!(needs > has && has < 1 << 27, "{shape:?}: {needs} of {has}");
                    }
                    Err(error) => panic!("{shape:?}: {error}"),
                }
            }
        }
    }
    assert!(made > 300, "only {made} plans were made");
    assert_eq!(
        split, [true; 3],
        "tiles, segments and input slices were not all split"
    );
}

#[test]
fn vectors_of_the_input_begin_at_aligned_offsets_and_do_not_depend_on_the_batch() {
    for f16 in [false, true] {
        for shape in shapes() {
            let shape = if f16 { shape.f16() } else { shape };
            for offset_alignment in [0, 8, 32] {
                for max_binding in [1 << 20, 1 << 30] {
                    let limits = DeviceLimits {
                        max_binding,
                        offset_alignment,
                        f16: true,
                        ..DeviceLimits::default()
                    };
                    let options = Options::default();
                    let Ok(plan) = Plan::new(&shape, &options, Task::Greedy, &limits) else {
                        continue;
                    };
                    let vector = 4 * shape.element.bytes() as u64;
                    let expected = shape.classes % 4 == 0 && u64::from(offset_alignment) >= vector;
                    assert_eq!(plan.source_variant().vectors, expected, "{shape:?}");
                    let stats = plan.dispatches.iter();
                    for dispatch in
                        stats.filter(|d| expected && d.kernel == &kernels::SOFTMAX_STATS)
                    {
                        let BindingRange::Part { offset, bytes } = dispatch.ranges[0] else {
                            panic!("the input is bound as a whole");
                        };
                        assert!(offset.is_multiple_of(vector) && bytes.is_multiple_of(vector));
                        assert!(dispatch.params.input_base.is_multiple_of(4), "{shape:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn few_lanes_share_a_row_that_they_can_hold() {
    for (classes, lanes, vectors) in [
        (20, 8, 1),
        (128, 32, 1),
        (1_000, 32, 8),
        (1_536, 32, 12),
        (1_537, 64, 7),
        (5_000, 128, 10),
        (12_288, 256, 12),
        (12_289, 256, 0),
    ] {
        let shape = BatchShape::new(1, 4, classes, 1);
        let (options, limits) = (Options::default(), DeviceLimits::default());
        let plan = Plan::new(&shape, &options, Task::Greedy, &limits).unwrap();
        let mut stats = plan.dispatches.iter();
        let stats = stats.find(|d| d.kernel == &kernels::SOFTMAX_STATS).unwrap();
        let chosen = (constant(stats, "LANES"), constant(stats, "ROW_VECTORS"));
        assert_eq!(chosen, (lanes, vectors), "{classes} classes");
    }
}

fn constant(dispatch: &PlannedDispatch, name: &str) -> u64 {
    dispatch.constant(name).unwrap_or(1).into()
}

/// Returns the number of subgroups of a workgroup of a sweep, or 0 if it does not use them.
fn windows(dispatch: &PlannedDispatch) -> u64 {
    match dispatch.constant("SUBGROUP") {
        Some(subgroup) if dispatch.kernel == &kernels::SWEEP => {
            constant(dispatch, "LANES") / u64::from(subgroup)
        }
        _ => 0,
    }
}

#[test]
fn windows_of_subgroups_hold_every_quad_and_take_no_more_turns_on_the_schedulers() {
    let gpu = DeviceLimits::default()
        .max_invocations(1024)
        .workgroup_memory(48 << 10)
        .subgroup_size(32);
    let form = |labels, limits: &DeviceLimits| {
        let shape = BatchShape::new(2, 2_000, 64, labels);
        let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, limits).unwrap();
        let sweep = plan.dispatches.iter().find(|d| d.kernel == &kernels::SWEEP);
        let sweep = sweep.unwrap();
        let pairs = sweep.sweep.pairs.count();
        let (lanes, windows) = (constant(sweep, "LANES"), windows(sweep));
        if windows > 0 {
            // Two windows have two quads in common.
            let quads = windows * (8 * u64::from(pairs) - 2) + 2;
            assert!(quads > labels as u64 / 4, "{labels} labels: {sweep:?}");
        }
        (pairs, lanes, windows)
    };
    for (labels, expected) in [
        (20, (1, 32, 1)),
        (31, (1, 32, 1)),
        (32, (1, 64, 2)),
        (100, (1, 128, 4)),
        (103, (1, 128, 4)),
        (104, (1, 128, 0)),
        (128, (2, 96, 3)),
        (300, (2, 192, 6)),
        (500, (2, 256, 0)),
    ] {
        assert_eq!(form(labels, &gpu), expected, "{labels} labels");
    }
    for labels in 1..1_000 {
        for limits in [
            gpu,
            gpu.subgroup_size(16),
            gpu.pairs_per_lane(2).subgroup_size(8),
        ] {
            form(labels, &limits);
        }
    }
    // 4 windows take 8 KiB.
    assert_eq!(form(100, &gpu.workgroup_memory(8 << 10)).2, 0);
    // Alignment has no windows.
    let shape = BatchShape::new(2, 2_000, 64, 100);
    let plan = Plan::new(&shape, &Options::default(), Task::Align, &gpu).unwrap();
    assert!(!plan.variant().windows);
}

#[test]
fn no_dispatch_exceeds_a_limit_of_the_device_or_of_a_loop() {
    each_plan(|plan, limits| {
        for dispatch in &plan.dispatches {
            assert!(dispatch.iterations.count() <= Iterations::MAX && Iterations::MAX < 65_535);
            assert!(
                dispatch
                    .grid
                    .iter()
                    .all(|n| (1..=limits.max_workgroups).contains(n)),
                "{dispatch:?}"
            );
            let lanes = constant(dispatch, "LANES") * constant(dispatch, "ROWS");
            assert!(lanes <= limits.max_invocations.into(), "{dispatch:?}");
            if ["sweep", "viterbi"]
                .iter()
                .any(|name| dispatch.kernel.name.starts_with(name))
            {
                let bytes = if windows(dispatch) > 1 {
                    64 * u64::from(dispatch.sweep.pairs.count())
                } else {
                    2 * 8 + 4
                };
                let memory = bytes * constant(dispatch, "LANES");
                assert!(memory <= limits.workgroup_memory.into(), "{dispatch:?}");
            }
            let lanes = constant(dispatch, "LANES");
            let by_quads = [&kernels::SWEEP, &kernels::VITERBI].contains(&dispatch.kernel)
                && lanes.is_multiple_of(8);
            assert!(lanes.is_power_of_two() || by_quads, "{dispatch:?}");
        }
    });
}

#[test]
fn few_workgroup_sizes_serve_all_label_lengths_without_subgroups() {
    for (software, sizes) in [(false, 10), (true, 16)] {
        let lanes: BTreeSet<_> = (1..=256)
            .map(|quads| sweep_lanes(quads, software))
            .collect();
        assert_eq!(lanes.len(), sizes, "{lanes:?}");
        for quads in 1..=256_u64 {
            let lanes = sweep_lanes(quads, software);
            assert!(
                (quads..=quads.next_power_of_two().max(8)).contains(&lanes),
                "{quads}: {lanes}"
            );
            assert!(
                !software || lanes - quads < 8 || 4 * (lanes - quads) < lanes,
                "{quads}: {lanes}"
            );
        }
    }
}

#[test]
fn bound_ranges_are_aligned_and_lie_inside_their_array() {
    each_plan(|plan, limits| {
        let shape = plan.shape();
        for dispatch in &plan.dispatches {
            assert_eq!(dispatch.ranges.len(), dispatch.kernel.bindings.len());
            for ((array, _), range) in dispatch.kernel.bindings.iter().zip(&dispatch.ranges) {
                match *range {
                    BindingRange::Part { offset, bytes } => {
                        let words = match array {
                            ArrayId::Input | ArrayId::Grad => shape.elements(),
                            ArrayId::Labels => shape.items * shape.max_labels,
                            ArrayId::Reduced => 1,
                            ArrayId::Path | ArrayId::LogProbs | ArrayId::HypothesisLabels => {
                                shape.items * shape.frames
                            }
                            ArrayId::HypothesisFrames => 2 * shape.items * shape.frames,
                            ArrayId::Spans => 2 * shape.items * shape.max_labels,
                            ArrayId::Probabilities => shape.items * shape.max_labels,
                            _ => shape.items,
                        } as u64;
                        assert!(offset.is_multiple_of(limits.offset_alignment.into()));
                        // An empty array has a default buffer of one word.
                        assert!(
                            offset + bytes <= words.max(1) * 4,
                            "{array:?} {range:?} of {words} words in {dispatch:?}"
                        );
                        assert!(bytes <= limits.max_binding);
                        assert!(array.is_external());
                    }
                    BindingRange::ToEnd => assert_eq!(
                        (*array, shape.label_layout),
                        (ArrayId::Labels, LabelLayout::Concatenated)
                    ),
                    BindingRange::Workspace => {
                        assert!(plan.workspace.iter().any(|known| known.array == *array));
                    }
                }
            }
        }
        for array in &plan.workspace {
            assert!(
                array.bytes <= limits.max_binding && array.bytes <= limits.max_buffer,
                "{array:?}"
            );
        }
        let bytes: u64 = plan.workspace.iter().map(|array| array.bytes).sum();
        assert_eq!(plan.workspace_bytes(), bytes);
    });
}

#[test]
fn a_plan_prints_its_size_and_one_line_per_stage() {
    let options = Options {
        reduction: Reduction::MeanBatch,
        ..Options::default()
    };
    let plan = Plan::new(
        &BatchShape::new(32, 50, 20, 6),
        &options,
        Task::LossAndGrad,
        &DeviceLimits::default(),
    )
    .unwrap();
    let printed = plan.to_string();
    println!("{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(
        lines[0],
        "loss and gradient: N = 32, T = 50, C = 20, Lmax = 6"
    );
    assert_eq!(
        lines[1],
        "dispatches: 8, workspace: 0.1 MiB, longest dispatch on a slow GPU: 1.2 ms"
    );
    assert_eq!(
        lines[2],
        "batch tiles: 1, checkpoint segments: 1, input slices: 1"
    );
    let stages: Vec<_> = lines[4..].iter().map(|line| line[2..19].trim()).collect();
    assert_eq!(
        stages,
        [
            "check_labels",
            "softmax_stats",
            "sweep inward",
            "label_links",
            "sweep outward",
            "join",
            "reduce",
            "grad"
        ]
    );
}

/// Returns the stages that begin before the one before them has ended: wgpu orders two dispatches
/// of a pass by a barrier only if an array of the second one was last used in another way, or is
/// written.
fn stages_without_barrier(plan: &Plan) -> Vec<&'static str> {
    let mut last_uses = HashMap::new();
    let mut without = Vec::new();
    for dispatch in &plan.dispatches {
        let variant = dispatch.source_variant(SourceVariant::PLAIN);
        let arrays = dispatch.kernel.bindings.iter().map(|(array, _)| *array);
        let bound = arrays.enumerate().filter_map(|(binding, array)| {
            Some((array, dispatch.kernel.access(binding, variant)?))
        });
        let changed = bound.filter(|(array, access)| {
            let last = last_uses.insert(*array, *access);
            last.is_some_and(|last| last != *access || last == Access::Write)
        });
        if changed.count() == 0 {
            without.push(dispatch.label);
        }
    }
    without
}

#[test]
fn label_links_runs_with_the_inward_sweep_and_join_with_the_outward_sweep() {
    for reduction in [Reduction::None, Reduction::MeanBatch] {
        let options = Options {
            reduction,
            ..Options::default()
        };
        let limits = DeviceLimits::default();
        for classes in [20, 2_000] {
            let shape = BatchShape::new(32, 50, classes, 6);
            let plan = Plan::new(&shape, &options, Task::LossAndGrad, &limits).unwrap();
            assert_eq!(plan.variant().row_gradient, classes == 2_000);
            assert_eq!(
                stages_without_barrier(&plan),
                ["check_labels", "label_links", "join"]
            );
        }
    }
}
