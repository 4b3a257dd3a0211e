//! Tests that dispatches stay within the limit of time, and that nothing is split without need.

use super::each_plan;
use crate::batch::BatchShape;
use crate::kernels;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::cost::{WATCHDOG_US, microseconds};
use crate::plan::{Plan, PlannedDispatch, Task};

const TASKS: [Task; 4] = [Task::Loss, Task::LossAndGrad, Task::Align, Task::Greedy];

/// Limits of a GPU with 16 GiB of memory.
const GPU: fn() -> DeviceLimits = || {
    DeviceLimits::default()
        .max_binding(1 << 31)
        .max_buffer(1 << 34)
};

fn plan(shape: BatchShape, task: Task, limits: &DeviceLimits) -> Plan {
    Plan::new(&shape, &Options::default(), task, limits).unwrap()
}

fn without_limit(shape: BatchShape, task: Task) -> Plan {
    plan(shape, task, &GPU().max_dispatch_us(u32::MAX))
}

/// Returns the dispatch with the longest estimate, and the estimate in microseconds.
fn longest(plan: &Plan) -> (&PlannedDispatch, u64) {
    let time = |dispatch| microseconds(dispatch, plan.shape.element.bytes());
    let dispatches = plan.dispatches.iter();
    let timed = dispatches.map(|dispatch| (dispatch, time(dispatch)));
    timed.max_by_key(|(_, us)| *us).unwrap()
}

fn is_within_the_limit(plan: &Plan) {
    if plan.dispatches.is_empty() {
        return;
    }
    let (dispatch, us) = longest(plan);
    // The links of one item are not split.
    let one_item = dispatch.kernel == &kernels::LABEL_LINKS && dispatch.params.tile_items == 1;
    let max = if one_item {
        1_900_000
    } else {
        WATCHDOG_US.into()
    };
    assert!(us <= max, "{us} µs: {dispatch:?} of\n{plan}");
}

#[test]
fn no_dispatch_exceeds_the_limit_of_time() {
    each_plan(|plan, _| is_within_the_limit(plan));
    for [items, frames, classes, labels] in [
        // Inputs of 2 GiB, in few long and in many short rows.
        [64, 1_600, 5_000, 20],
        [1, 100_000, 5_000, 3_000],
        [1, 40, 12_000_000, 5],
        [500_000, 32, 32, 4],
        // Many items, more of them than a small GPU runs at once.
        [100_000, 1_000, 20, 30],
        [1_000_000, 40, 4, 20],
        [60_000, 100, 40, 8],
        // Long items.
        [1, 180_000, 6, 20_000],
        [2_000, 2_000, 30, 400],
        [4, 57_000, 4, 57_000],
        [1, 180_000, 30, 10_000],
    ] {
        let shape = BatchShape::new(items, frames, classes, labels);
        for shape in [shape, shape.time_major()] {
            for task in TASKS {
                is_within_the_limit(&plan(shape, task, &GPU()));
            }
        }
    }
}

#[test]
fn the_shapes_of_the_benchmark_are_not_split() {
    for [frames, items, classes, labels] in [
        [50, 32, 20, 12],
        [150, 32, 28, 40],
        [150, 64, 5_000, 20],
        [256, 16, 80, 100],
        [500, 8, 1_000, 100],
        [1_500, 8, 32, 300],
        [2_000, 4, 128, 500],
    ] {
        let shape = BatchShape::new(items, frames, classes, labels);
        for task in TASKS {
            let plan = plan(shape, task, &GPU());
            println!("{plan}");
            assert_eq!(plan.dispatches, without_limit(shape, task).dispatches);
            // Not even nearly: cards differ.
            assert!(longest(&plan).1 < u64::from(WATCHDOG_US) / 3, "{plan}");
        }
    }
}

/// Counts the dispatches of each stage.
fn counts(plan: &Plan) -> Vec<(&'static str, usize)> {
    let stages = plan.dispatches.chunk_by(|a, b| a.label == b.label);
    stages.map(|stage| (stage[0].label, stage.len())).collect()
}

#[test]
fn a_dispatch_is_split_from_the_limit_on() {
    let few = BatchShape::new(8, 1_500, 32, 300);
    let many = BatchShape::new(2_000, 50, 200, 5);
    let cases = [
        (few, Task::LossAndGrad),
        (few, Task::Align),
        (many, Task::LossAndGrad),
        (many, Task::Greedy),
    ];
    for (shape, task) in cases {
        let whole = without_limit(shape, task);
        let (dispatch, us) = longest(&whole);
        let at = |us: u64| plan(shape, task, &GPU().max_dispatch_us(us.try_into().unwrap()));
        assert_eq!(at(us).dispatches, whole.dispatches);
        let below = at(us - 1);
        let of_stage = |plan: &Plan| {
            let mut counts = counts(plan).into_iter();
            counts.find_map(|(label, n)| (label == dispatch.label).then_some(n))
        };
        assert_eq!((of_stage(&whole), of_stage(&below)), (Some(1), Some(2)));
        assert!(
            longest(&below).1 < us && below.batch_tiles() == 1,
            "{below}"
        );
    }
    // What has neither steps nor frames to split is split by items.
    let shape = BatchShape::new(200_000, 2, 2, 2);
    let whole = without_limit(shape, Task::Loss);
    let us = longest(&whole).1;
    let tiled = plan(
        shape,
        Task::Loss,
        &GPU().max_dispatch_us(u32::try_from(us - 1).unwrap()),
    );
    assert_eq!((whole.batch_tiles(), tiled.batch_tiles()), (1, 2));
}

/// Every step and every row is in exactly one dispatch of a stage.
#[test]
fn the_parts_of_a_split_stage_are_the_whole() {
    let shape = BatchShape::new(6, 403, 30, 20).time_major();
    let plan = plan(shape, Task::LossAndGrad, &GPU().max_dispatch_us(300));
    let ranges = |label: &str, range: fn(&PlannedDispatch) -> [u32; 2]| {
        let dispatches = plan.dispatches.iter();
        let of_stage = dispatches.filter(|dispatch| dispatch.label == label);
        let mut ranges: Vec<_> = of_stage.map(range).collect();
        ranges.sort_unstable();
        assert!(ranges.len() > 1, "{label} is not split: {plan}");
        let joined = ranges.windows(2).all(|pair| pair[0][1] == pair[1][0]);
        assert!(joined, "{label}: {ranges:?}");
        [ranges[0][0], ranges[ranges.len() - 1][1]]
    };
    let frames = |dispatch: &PlannedDispatch| {
        let first = dispatch.params.first_frame;
        [first, first + dispatch.params.slice_frames]
    };
    let steps = |dispatch: &PlannedDispatch| [dispatch.params.first_step, dispatch.params.end_step];
    assert_eq!(plan.batch_tiles(), 1);
    assert_eq!(ranges("grad", frames), [0, 403]);
    assert_eq!(ranges("softmax_stats", frames), [0, 403]);
    assert_eq!(ranges("sweep inward", steps), [0, 202]);
    assert_eq!(ranges("sweep outward", steps), [0, 202]);
}
