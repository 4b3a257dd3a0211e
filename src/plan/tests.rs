//! Plans are plain data: they are tested without a device.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod extreme;
mod memory;
mod refusals;

use std::collections::BTreeSet;

use super::stages::sweep_lanes;
use super::{Iterations, Plan, Span, Step, Task};
use crate::batch::{BatchShape, LabelLayout};
use crate::error::PlanError;
use crate::kernels::{self, ArrayId};
use crate::limits::DeviceLimits;
use crate::options::{Options, Reduction};

/// Default limits, and each of them lowered.
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

/// Calls `check` with every plan that there is among the shapes and limits.
fn each_plan(check: impl Fn(&Plan, &DeviceLimits)) {
    let mut made = 0;
    let mut cut = [false; 3];
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
                        cut[0] |= plan.batch_tiles() > 1;
                        cut[1] |= plan.segments() > 1;
                        cut[2] |= plan.input_slices() > 1;
                        check(&plan, &limits);
                    }
                    // Only where a single row or item passes a lowered binding.
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
    assert_eq!(cut, [true; 3], "groups, pages and chunks were not all cut");
}

fn constant(step: &Step, name: &str) -> u64 {
    let found = step
        .constants
        .iter()
        .find(|(constant, _)| *constant == name);
    found.map_or(1, |(_, value)| u64::from(*value))
}

#[test]
fn no_step_passes_a_limit_of_the_device_or_of_a_loop() {
    each_plan(|plan, limits| {
        for step in &plan.steps {
            assert!(step.iterations.count() <= Iterations::MAX && Iterations::MAX < 65_535);
            assert!(
                step.grid
                    .iter()
                    .all(|n| (1..=limits.max_workgroups).contains(n)),
                "{step:?}"
            );
            let lanes = constant(step, "LANES") * constant(step, "ROWS");
            assert!(lanes <= limits.max_invocations.into(), "{step:?}");
            if ["sweep", "viterbi"]
                .iter()
                .any(|name| step.kernel.name.starts_with(name))
            {
                let edges = 2 * 8 * constant(step, "LANES") + 4 * constant(step, "LANES");
                assert!(edges <= limits.workgroup_memory.into(), "{step:?}");
            }
            let lanes = constant(step, "LANES");
            let by_quads = [&kernels::SWEEP, &kernels::VITERBI].contains(&step.kernel)
                && lanes.is_multiple_of(8);
            assert!(lanes.is_power_of_two() || by_quads, "{step:?}");
        }
    });
}

#[test]
fn few_numbers_of_lanes_serve_every_length_without_subgroups() {
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
fn spans_are_aligned_and_lie_inside_what_they_are_of() {
    each_plan(|plan, limits| {
        let shape = plan.shape();
        for step in &plan.steps {
            assert_eq!(step.spans.len(), step.kernel.bindings.len());
            for ((array, _), span) in step.kernel.bindings.iter().zip(&step.spans) {
                match *span {
                    Span::Range { offset, bytes } => {
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
                        // An empty array has a stand-in of one word.
                        assert!(
                            offset + bytes <= words.max(1) * 4,
                            "{array:?} {span:?} of {words} words in {step:?}"
                        );
                        assert!(bytes <= limits.max_binding);
                        assert!(array.is_external());
                    }
                    Span::Rest => assert_eq!(
                        (*array, shape.label_layout),
                        (ArrayId::Labels, LabelLayout::Concatenated)
                    ),
                    Span::Table => {
                        assert!(plan.tables.iter().any(|table| table.array == *array));
                    }
                }
            }
        }
        for table in &plan.tables {
            assert!(
                table.bytes <= limits.max_binding && table.bytes <= limits.max_buffer,
                "{table:?}"
            );
        }
        let bytes: u64 = plan.tables.iter().map(|table| table.bytes).sum();
        assert_eq!(plan.workspace_bytes(), bytes);
    });
}

/// What of frames, steps and pages the steps of one group cover.
fn check_group(plan: &Plan, steps: &[&Step]) {
    let shape = plan.shape();
    let aligns = plan.task() == Task::Align;
    let directions = if plan.task() == Task::Greedy || aligns {
        1
    } else {
        2
    };
    let total = (shape.frames as u64).div_ceil(directions).max(1);
    let has_grad = plan.task() == Task::LossAndGrad;
    let keeps = has_grad || aligns;
    for label in ["softmax_stats", "grad"] {
        if label == "grad" && !has_grad {
            continue;
        }
        // A page is gone through from its first chunk on.
        let pages: Vec<_> = steps
            .iter()
            .filter(|s| s.label == label && s.params.first_frame == 0)
            .map(|s| (s.params.segment_begin, s.params.segment_end))
            .collect();
        // Where what is read of the input is gathered page by page, it is twice; else stats sees all steps at once.
        let again =
            label == "softmax_stats" && plan.input_slices() > 1 && keeps && plan.segments() > 1;
        let covered: u32 = pages.iter().map(|(first, end)| end - first).sum();
        let times = if shape.frames == 0 {
            0
        } else {
            1 + u32::from(again)
        };
        assert_eq!(u64::from(covered), total * u64::from(times), "{plan}");
        for page in pages {
            let chunks: Vec<_> = steps
                .iter()
                .filter(|s| {
                    s.label == label && (s.params.segment_begin, s.params.segment_end) == page
                })
                .collect();
            // Within a page the chunks follow each other from the first frame to the last.
            for chunks in chunks.chunk_by(|_, next| next.params.first_frame > 0) {
                let mut next = 0;
                for step in chunks {
                    assert_eq!(step.params.first_frame, next);
                    next += step.params.slice_frames;
                    // Lanes of grad share four frames of an item.
                    let share = if label == "grad" { 4 } else { 1 };
                    let shares = step.params.slice_frames.div_ceil(share);
                    let rows = u64::from(step.params.tile_items) * u64::from(shares);
                    let workgroups: u64 = step.grid.iter().map(|n| u64::from(*n)).product();
                    assert!(workgroups * constant(step, "ROWS") >= rows, "{step:?}");
                }
                assert_eq!(next as usize, shape.frames);
            }
        }
    }
    let windows = |label: &str| -> Vec<(u64, u64)> {
        let sweeps = steps.iter().filter(|s| s.label == label);
        sweeps
            .map(|s| {
                let p = s.params;
                assert!(p.first_step.is_multiple_of(4) && p.segment_begin.is_multiple_of(4));
                assert!(p.segment_begin <= p.first_step && p.end_step <= p.segment_end);
                if s.label.starts_with("sweep") {
                    assert_eq!(s.label == "sweep outward", constant(s, "OUTWARD") == 1);
                }
                (p.first_step.into(), p.end_step.into())
            })
            .collect()
    };
    if plan.task() == Task::Greedy {
        return;
    }
    let [way_in, again] = if aligns {
        ["viterbi", "viterbi recompute"]
    } else {
        ["sweep inward", "sweep recompute"]
    }
    .map(windows);
    let joined = way_in.iter().try_fold(0, |end, (first, last)| {
        (*first == end && last > first).then_some(*last)
    });
    assert_eq!(joined, Some(total), "{way_in:?}");
    let mut way_out = windows("sweep outward");
    way_out.reverse();
    assert_eq!(way_out, if has_grad { way_in.clone() } else { vec![] });
    // An alignment's windows on the way back are its own: what one lane goes through.
    let mut back = windows("backtrace");
    back.reverse();
    let joined = back.iter().try_fold(0, |end, (first, last)| {
        (*first == end && last > first).then_some(*last)
    });
    assert_eq!(joined, Some(if aligns { total } else { 0 }), "{back:?}");
    let mut again = again;
    again.sort_unstable();
    let twice = keeps && plan.segments() > 1;
    assert_eq!(again, if twice { way_in } else { vec![] });
    check_kept(steps, aligns, twice);
}

/// Rows are kept once, and each page's states are saved where they are found again.
fn check_kept(steps: &[&Step], aligns: bool, checkpointed: bool) {
    let (way_in, again) = if aligns {
        ("viterbi", "viterbi recompute")
    } else {
        ("sweep inward", "sweep recompute")
    };
    let rows = |label: &str, row: fn(&crate::params::Params) -> u32| -> Vec<_> {
        let of = steps.iter().filter(|s| s.label == label);
        let mut rows: Vec<_> = of
            .map(|s| (s.params.segment_begin, row(&s.params)))
            .collect();
        rows.retain(|(_, row)| *row != 0);
        rows.sort_unstable();
        rows.dedup();
        rows
    };
    assert_eq!(
        rows(way_in, |p| p.checkpoint_row),
        rows(again, |p| p.carry_row)
    );
    assert!(rows(way_in, |p| p.carry_row).is_empty());
    assert!(rows("sweep outward", |p| p.carry_row).is_empty());
    for step in steps.iter().filter(|s| s.label == way_in) {
        assert!(constant(step, "STORE_ROWS") == 0 || !checkpointed);
        assert!(step.params.checkpoint_row < step.params.spill_row);
    }
}

#[test]
fn groups_chunks_pages_and_windows_cover_the_batch_exactly_once() {
    each_plan(|plan, _| {
        let mut next = 0;
        let mut groups = 0;
        let steps: Vec<_> = plan
            .steps
            .iter()
            .filter(|s| s.label != "batch_totals")
            .collect();
        // An empty batch has no group, but its reduced loss is written.
        for steps in steps.chunk_by(|a, b| a.params.first_item == b.params.first_item) {
            let group = steps[0].params.tile_items;
            assert!(steps.iter().all(|s| s.params.tile_items == group));
            if group > 0 {
                assert_eq!(steps[0].params.first_item, next);
                check_group(plan, steps);
                groups += 1;
                next += group;
            }
        }
        assert_eq!(groups, plan.batch_tiles());
        assert_eq!(next as usize, plan.shape().items);
    });
}

#[test]
fn a_plan_prints_as_a_person_would_read_it() {
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
        "LossAndGrad of N = 32, T = 50, C = 20, Lmax = 6: 8 dispatches, 0.1 MiB of workspace"
    );
    assert_eq!(lines[1], "batch tiles: 1, segments: 1, input slices: 1");
    let stages: Vec<_> = lines[2..].iter().map(|line| line[2..19].trim()).collect();
    assert_eq!(
        stages,
        [
            "check_labels",
            "label_links",
            "softmax_stats",
            "sweep inward",
            "join",
            "reduce",
            "sweep outward",
            "grad"
        ]
    );
}
