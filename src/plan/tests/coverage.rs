//! Tests that the dispatches of a plan cover the batch exactly once.

use super::{constant, each_plan};
use crate::params::Params;
use crate::plan::{Plan, PlannedDispatch, Task};

/// Checks that the dispatches of one tile cover its frames and steps, segment by segment.
fn check_tile(plan: &Plan, dispatches: &[&PlannedDispatch]) {
    let shape = plan.shape();
    let aligns = plan.task() == Task::Align;
    let directions = if plan.task() == Task::Greedy || aligns {
        1
    } else {
        2
    };
    let steps = (shape.frames as u64).div_ceil(directions).max(1);
    let has_grad = plan.task() == Task::LossAndGrad;
    let stores_rows = has_grad || aligns;
    let recomputes = stores_rows && plan.segments() > 1;
    check_row_stage(plan, dispatches, "softmax_stats", steps);
    if has_grad {
        check_row_stage(plan, dispatches, "grad", steps);
    }
    if plan.task() == Task::Greedy {
        return;
    }
    let step_ranges = |label: &str| -> Vec<(u64, u64)> {
        let sweeps = dispatches.iter().filter(|d| d.label == label);
        sweeps
            .map(|d| {
                let p = d.params;
                assert!(p.first_step.is_multiple_of(4) && p.segment_begin.is_multiple_of(4));
                assert!(p.segment_begin <= p.first_step && p.end_step <= p.segment_end);
                if d.label.starts_with("sweep") {
                    assert_eq!(d.label == "sweep outward", constant(d, "OUTWARD") == 1);
                }
                (p.first_step.into(), p.end_step.into())
            })
            .collect()
    };
    let joined = |ranges: &[(u64, u64)]| {
        ranges.iter().try_fold(0, |end, (first, last)| {
            (*first == end && last > first).then_some(*last)
        })
    };
    let [inward, mut recomputed] = if aligns {
        ["viterbi", "viterbi recompute"]
    } else {
        ["sweep inward", "sweep recompute"]
    }
    .map(step_ranges);
    assert_eq!(joined(&inward), Some(steps), "{inward:?}");
    let mut outward = step_ranges("sweep outward");
    outward.reverse();
    assert_eq!(outward, if has_grad { inward.clone() } else { vec![] });
    // The backtrace has ranges of its own: the steps that one lane follows in a dispatch.
    let mut back = step_ranges("backtrace");
    back.reverse();
    let expected = if aligns { steps } else { 0 };
    assert_eq!(joined(&back), Some(expected), "{back:?}");
    recomputed.sort_unstable();
    assert_eq!(recomputed, if recomputes { inward } else { vec![] });
    check_stored_rows(dispatches, aligns, recomputes);
}

/// Checks that the dispatches of `label` cover all frames once per segment.
fn check_row_stage(plan: &Plan, dispatches: &[&PlannedDispatch], label: &str, steps: u64) {
    let shape = plan.shape();
    let of_stage = |d: &&&PlannedDispatch| d.label == label;
    // The first input slice of each run through a segment.
    let segments: Vec<_> = dispatches
        .iter()
        .filter(of_stage)
        .filter(|d| d.params.first_frame == 0)
        .map(|d| (d.params.segment_begin, d.params.segment_end))
        .collect();
    // If entries are gathered, `softmax_stats` runs once per segment and again for its
    // recomputation. Otherwise it runs once, with all steps as one segment.
    let stores_rows = [Task::LossAndGrad, Task::Align].contains(&plan.task());
    let twice =
        label == "softmax_stats" && plan.input_slices() > 1 && stores_rows && plan.segments() > 1;
    let covered: u32 = segments.iter().map(|(first, end)| end - first).sum();
    let times = if shape.frames == 0 {
        0
    } else {
        1 + u32::from(twice)
    };
    assert_eq!(u64::from(covered), steps * u64::from(times), "{plan}");
    for segment in segments {
        let slices: Vec<_> = dispatches
            .iter()
            .filter(of_stage)
            .filter(|d| (d.params.segment_begin, d.params.segment_end) == segment)
            .collect();
        // The input slices of a segment follow each other from the first frame to the last.
        for slices in slices.chunk_by(|_, next| next.params.first_frame > 0) {
            let mut next = 0;
            for dispatch in slices {
                assert_eq!(dispatch.params.first_frame, next);
                next += dispatch.params.slice_frames;
                // `grad` computes four frames of an item with the same lanes.
                let shared_frames = if label == "grad" { 4 } else { 1 };
                let row_groups = dispatch.params.slice_frames.div_ceil(shared_frames);
                let rows = u64::from(dispatch.params.tile_items) * u64::from(row_groups);
                let workgroups: u64 = dispatch.grid.iter().map(|n| u64::from(*n)).product();
                assert!(
                    workgroups * constant(dispatch, "ROWS") >= rows,
                    "{dispatch:?}"
                );
            }
            assert_eq!(next as usize, shape.frames);
        }
    }
}

/// Checks that rows are stored once, and that each segment is recomputed from the row of the carry
/// in which its first states were stored.
fn check_stored_rows(dispatches: &[&PlannedDispatch], aligns: bool, checkpointed: bool) {
    let (inward, recompute) = if aligns {
        ("viterbi", "viterbi recompute")
    } else {
        ("sweep inward", "sweep recompute")
    };
    let rows = |label: &str, row: fn(&Params) -> u32| -> Vec<_> {
        let of = dispatches.iter().filter(|d| d.label == label);
        let mut rows: Vec<_> = of
            .map(|d| (d.params.segment_begin, row(&d.params)))
            .collect();
        rows.retain(|(_, row)| *row != 0);
        rows.sort_unstable();
        rows.dedup();
        rows
    };
    assert_eq!(
        rows(inward, |p| p.checkpoint_row),
        rows(recompute, |p| p.carry_row)
    );
    assert!(rows(inward, |p| p.carry_row).is_empty());
    assert!(rows("sweep outward", |p| p.carry_row).is_empty());
    for dispatch in dispatches.iter().filter(|d| d.label == inward) {
        assert!(constant(dispatch, "STORE_ROWS") == 0 || !checkpointed);
        assert!(dispatch.params.checkpoint_row < dispatch.params.spill_row);
    }
}

#[test]
fn tiles_segments_slices_and_dispatches_cover_the_batch_exactly_once() {
    each_plan(|plan, _| {
        let mut next = 0;
        let mut tiles = 0;
        let dispatches: Vec<_> = plan
            .dispatches
            .iter()
            .filter(|d| d.label != "batch_totals")
            .collect();
        // An empty batch has no tile, but its reduced loss is written.
        for dispatches in dispatches.chunk_by(|a, b| a.params.first_item == b.params.first_item) {
            let tile = dispatches[0].params.tile_items;
            assert!(dispatches.iter().all(|d| d.params.tile_items == tile));
            if tile > 0 {
                assert_eq!(dispatches[0].params.first_item, next);
                check_tile(plan, dispatches);
                tiles += 1;
                next += tile;
            }
        }
        assert_eq!(tiles, plan.batch_tiles());
        assert_eq!(next as usize, plan.shape().items);
    });
}
