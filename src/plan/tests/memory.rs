//! Tests of the size of a plan's workspace.

use crate::batch::BatchShape;
use crate::error::PlanError;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::{Plan, Task};

fn plan(shape: &BatchShape, limits: &DeviceLimits) -> Plan {
    Plan::new(shape, &Options::default(), Task::LossAndGrad, limits).unwrap()
}

#[test]
fn the_workspace_of_a_small_batch_has_the_size_computed_by_hand() {
    let plan = plan(&BatchShape::new(32, 50, 20, 6), &DeviceLimits::default());
    let (n, t, l) = (32, 50, 6);
    // Two quads of state pairs; 25 steps are 7 blocks of 5 vectors each.
    let quads = l / 4 + 1;
    let lattice = n * 2 * (t / 2_u64).div_ceil(4) * 5 * quads * 16;
    let references = n * 2 * 16;
    let carry = n * 2 * 4 * quads * 16 + references;
    let first_of_class = n * 20 * 4;
    let [labels, next_label] = [n * l * 4; 2];
    let small = n * (16 + 4 + 4) + n * t * 8 + 16;
    // The emission table has a column for the blank and one per label.
    let gathered = n * 2 * (t / 2_u64).next_multiple_of(4) * (l + 1) * 4;
    assert_eq!(
        plan.workspace_bytes(),
        lattice + carry + first_of_class + labels + next_label + small + gathered
    );
    assert_eq!(
        (
            plan.batch_tiles(),
            plan.segments(),
            plan.input_slices(),
            plan.dispatches()
        ),
        (1, 1, 1, 7)
    );
    let loss = Plan::new(
        plan.shape(),
        plan.options(),
        Task::Loss,
        &DeviceLimits::default(),
    )
    .unwrap();
    assert_eq!(loss.dispatches(), 4);
    assert_eq!(
        loss.workspace_bytes(),
        plan.workspace_bytes() - lattice - references - next_label - first_of_class + 3 * 16
    );
    assert_eq!(
        plan,
        Plan::new(
            plan.shape(),
            plan.options(),
            Task::LossAndGrad,
            &DeviceLimits::default()
        )
        .unwrap()
    );
}

/// The shapes of the benchmark, as `[T, N, C, L]`.
const BENCHMARK: [[usize; 4]; 7] = [
    [50, 32, 20, 12],
    [150, 32, 28, 40],
    [150, 64, 5000, 20],
    [256, 16, 80, 100],
    [500, 8, 1000, 100],
    [1500, 8, 32, 300],
    [2000, 4, 128, 500],
];

/// Until the end of the backward pass, PyTorch's CUDA loss keeps log-probabilities and their
/// gradient, `[T, N, C]` each, and alpha and beta, `[N, T, 2L + 1]` each, with 4 bytes per element.
#[test]
fn the_workspace_has_at_most_half_the_bytes_that_pytorch_keeps() {
    let room = 1 << 31;
    let gpu = DeviceLimits {
        max_binding: room,
        max_buffer: room,
        subgroup_size: 32,
        ..DeviceLimits::default()
    };
    for limits in [DeviceLimits::default(), gpu] {
        for [frames, items, classes, labels] in BENCHMARK {
            let plan = plan(&BatchShape::new(items, frames, classes, labels), &limits);
            let states = 2 * labels + 1;
            let theirs = (items * frames * 8 * (classes + states)) as u64;
            let ours = plan.workspace_bytes();
            assert!(2 * ours <= theirs, "{ours} against {theirs}: {plan}");
        }
    }
}

/// The states of a long item are computed twice, and only those of one segment at a time are
/// stored.
#[test]
fn frames_180_000_and_labels_20_000_fit_in_2_gib() {
    let shape = BatchShape::new(1, 180_000, 6, 20_000);
    for room in [128 << 20, (1 << 31) - 1, 64 << 30] {
        let limits = DeviceLimits {
            max_binding: room,
            max_buffer: room,
            ..DeviceLimits::default()
        };
        let plan = plan(&shape, &limits);
        assert!(plan.workspace_bytes() <= 2 << 30, "{plan}");
        assert!(plan.segments() > 1);
        // An alignment stores two bits per state and step of one segment, and one checkpoint per
        // segment.
        let plan = Plan::new(&shape, &Options::default(), Task::Align, &limits).unwrap();
        assert!(plan.workspace_bytes() <= 2 << 30, "{plan}");
        assert!(plan.segments() > 1);
    }
}

#[test]
fn labels_and_frames_are_planned_up_to_the_documented_limit() {
    // The limit in the crate's documentation and the README: L · √T up to about 10.1 to 10.4
    // million.
    for (frames, labels) in [(50_000, 45_000), (180_000, 24_000), (1_000_000, 10_400)] {
        let planned = |labels| {
            let shape = BatchShape::new(1, frames, 4, labels);
            let options = Options::default();
            Plan::new(
                &shape,
                &options,
                Task::LossAndGrad,
                &DeviceLimits::default(),
            )
        };
        assert!(planned(labels).is_ok(), "T = {frames}, L = {labels}");
        let rejected = planned(labels * 21 / 20);
        assert!(
            matches!(rejected, Err(PlanError::Limit { .. })),
            "T = {frames}: {rejected:?}"
        );
    }
}
