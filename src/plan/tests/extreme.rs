//! Device limits and shapes at the ends of their ranges: planning succeeds or returns an error,
//! without an overflow and within a bounded number of dispatches. Debug builds, as these tests are,
//! panic if a number exceeds 64 bits.

use proptest::prelude::*;

use crate::batch::{BatchShape, LabelLayout, Layout};
use crate::error::PlanError;
use crate::kernels::ElementType;
use crate::limits::DeviceLimits;
use crate::options::{Options, Reduction};
use crate::plan::build::MAX_DISPATCHES;
use crate::plan::{BindingRange, Plan, Task};

const TASKS: [Task; 4] = [Task::Loss, Task::LossAndGrad, Task::Align, Task::Greedy];

const BOUNDLESS: DeviceLimits = DeviceLimits {
    max_binding: u64::MAX,
    max_buffer: u64::MAX,
    max_storage_buffers: u32::MAX,
    max_workgroups: u32::MAX,
    max_invocations: u32::MAX,
    workgroup_memory: u32::MAX,
    offset_alignment: 1 << 31,
    max_register_quads: u32::MAX,
    pairs_per_lane: 1 << 31,
    subgroup_size: 1 << 31,
    max_dispatch_us: u32::MAX,
    f16: true,
    software: false,
};

fn plan(shape: &BatchShape, task: Task, limits: &DeviceLimits) -> Result<Plan, PlanError> {
    let options = Options {
        reduction: Reduction::MeanVolume,
        ..Options::default()
    };
    let plan = Plan::new(shape, &options, task, limits);
    if let Ok(plan) = &plan {
        assert!(plan.dispatches() <= MAX_DISPATCHES);
        let mut ranges = plan.dispatches.iter().flat_map(|dispatch| &dispatch.ranges);
        assert!(ranges.all(|range| match range {
            BindingRange::Part { offset, bytes } => offset.checked_add(*bytes).is_some(),
            BindingRange::ToEnd | BindingRange::Workspace => true,
        }));
        // Neither the sum of the bytes nor a launch overflows.
        let _ = (plan.workspace_bytes(), plan.launches().next());
    }
    plan
}

/// Draws from the ends of the range `0..=max`, the powers of two in it and the numbers next to
/// them, and from the whole range.
fn near_edges(max: u64) -> impl Strategy<Value = u64> {
    let powers = (0_u32..64, -1_i64..=1)
        .prop_map(move |(power, by)| (1_u64 << power).saturating_add_signed(by).min(max));
    prop_oneof![
        1 => Just(0),
        1 => Just(max),
        6 => powers,
        2 => 0..=max,
    ]
}

fn size() -> impl Strategy<Value = usize> {
    near_edges(1 << 31).prop_map(|n| usize::try_from(n).unwrap())
}

fn word() -> impl Strategy<Value = u32> {
    near_edges(u32::MAX.into()).prop_map(|n| u32::try_from(n).unwrap())
}

fn shape() -> impl Strategy<Value = BatchShape> {
    let layout = prop_oneof![Just(Layout::BatchMajor), Just(Layout::TimeMajor)];
    let labels = prop_oneof![Just(LabelLayout::Padded), Just(LabelLayout::Concatenated)];
    let element = prop_oneof![Just(ElementType::F32), Just(ElementType::F16)];
    let sizes = [size(), size(), size(), size()];
    (sizes, layout, labels, element).prop_map(
        |([items, frames, classes, max_labels], layout, label_layout, element)| BatchShape {
            layout,
            label_layout,
            element,
            ..BatchShape::new(items, frames, classes, max_labels)
        },
    )
}

/// Limits that are high enough for most plans, or any limits at all.
fn limits() -> impl Strategy<Value = DeviceLimits> {
    let wild = (
        (near_edges(u64::MAX), near_edges(u64::MAX)),
        std::array::from_fn(|_| word()),
        any::<bool>(),
    )
        .prop_map(|((max_binding, max_buffer), words, software)| {
            let [
                buffers,
                workgroups,
                invocations,
                memory,
                alignment,
                quads,
                pairs,
                subgroup,
                dispatch_us,
            ]: [u32; 9] = words;
            DeviceLimits {
                max_binding,
                max_buffer,
                max_storage_buffers: buffers,
                max_workgroups: workgroups,
                max_invocations: invocations,
                workgroup_memory: memory,
                offset_alignment: alignment,
                max_register_quads: quads,
                pairs_per_lane: pairs,
                subgroup_size: subgroup,
                max_dispatch_us: dispatch_us,
                f16: true,
                software,
            }
        });
    let enough = (
        near_edges(u64::MAX),
        near_edges(u64::MAX),
        word(),
        word(),
        prop::sample::select(&[0, 1, 2, 4][..]),
        any::<bool>(),
    )
        .prop_map(
            |(
                max_binding,
                max_buffer,
                max_workgroups,
                max_register_quads,
                pairs_per_lane,
                software,
            )| {
                DeviceLimits {
                    max_binding: max_binding.max(1 << 8),
                    max_buffer: max_buffer.max(1 << 12),
                    max_workgroups: max_workgroups.max(2),
                    max_register_quads,
                    pairs_per_lane,
                    f16: true,
                    software,
                    ..DeviceLimits::default()
                }
            },
        );
    prop_oneof![1 => wild, 3 => enough]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn no_limits_and_no_shape_cause_an_overflow_or_an_endless_plan(
        shape in shape(),
        limits in limits(),
        task in prop::sample::select(&TASKS[..]),
    ) {
        let _ = plan(&shape, task, &limits);
    }
}

#[test]
fn each_limit_at_each_end_is_a_plan_or_an_error() {
    let shapes = [
        BatchShape::new(3, 20, 5, 4),
        BatchShape::new(0, 0, 1, 0),
        BatchShape::new(1, 1, 1, 1).f16(),
    ];
    let at = |value: u64| {
        let word = u32::try_from(value).unwrap_or(u32::MAX);
        let default = DeviceLimits {
            f16: true,
            ..DeviceLimits::default()
        };
        [
            DeviceLimits {
                max_binding: value,
                ..default
            },
            DeviceLimits {
                max_buffer: value,
                ..default
            },
            DeviceLimits {
                max_storage_buffers: word,
                ..default
            },
            DeviceLimits {
                max_workgroups: word,
                ..default
            },
            DeviceLimits {
                max_invocations: word,
                ..default
            },
            DeviceLimits {
                workgroup_memory: word,
                ..default
            },
            DeviceLimits {
                offset_alignment: word,
                ..default
            },
            DeviceLimits {
                max_register_quads: word,
                ..default
            },
            DeviceLimits {
                pairs_per_lane: word,
                ..default
            },
            DeviceLimits {
                subgroup_size: word,
                ..default
            },
        ]
    };
    for value in [
        0,
        1,
        2,
        3,
        255,
        257,
        260,
        1 << 31,
        (1 << 32) - 1,
        u64::MAX - 1,
        u64::MAX,
    ] {
        for limits in at(value) {
            for shape in &shapes {
                for shape in [*shape, shape.concatenated(), shape.time_major()] {
                    for task in TASKS {
                        let _ = plan(&shape, task, &limits);
                    }
                }
            }
        }
    }
    // Without limits, every small batch can be planned.
    let boundless = DeviceLimits {
        offset_alignment: 256,
        ..BOUNDLESS
    };
    for task in TASKS {
        assert!(plan(&shapes[0], task, &boundless).is_ok());
    }
    // An alignment must be a power of two.
    let not_power_of_two = DeviceLimits {
        offset_alignment: 12,
        ..DeviceLimits::default()
    };
    assert_eq!(
        plan(&shapes[0], Task::Loss, &not_power_of_two),
        Err(PlanError::NotPowerOfTwo {
            limit: "offset_alignment",
            value: 12
        })
    );
}

#[test]
fn a_batch_of_more_than_2_to_the_62_bytes_is_rejected_even_without_limits() {
    let longest = (1 << 31) - 1;
    for (shape, task, array) in [
        (
            BatchShape::new(longest, longest, 1, 0),
            Task::Loss,
            "the input",
        ),
        (
            BatchShape::new(longest, longest, longest, 0),
            Task::Greedy,
            "the input",
        ),
        (
            BatchShape::new(longest, 1, 1, longest),
            Task::LossAndGrad,
            "the labels",
        ),
        (
            BatchShape::new(longest, 1, 1, longest).concatenated(),
            Task::Align,
            "the spans",
        ),
    ] {
        let rejected = plan(&shape, task, &BOUNDLESS);
        let expected = PlanError::Array {
            what: array,
            max: 1 << 62,
        };
        assert_eq!(rejected, Err(expected), "{shape:?}");
    }
}

/// Batches of 100 GB and more. The time to plan them is bounded by the number of their dispatches.
#[test]
fn a_batch_of_100_gigabytes_is_planned_or_the_error_contains_how_many_items_can_be() {
    let wide = DeviceLimits {
        max_buffer: u64::MAX,
        ..DeviceLimits::default()
    };
    // Tiles of hundreds of items.
    let shape = BatchShape::new(1_000_000, 1_000, 32, 50);
    let max_items = match plan(&shape, Task::LossAndGrad, &wide) {
        Ok(plan) => plan.shape().items,
        Err(PlanError::Dispatches { items, max_items }) => {
            assert_eq!(items, shape.items);
            max_items
        }
        Err(error) => panic!("{error}"),
    };
    assert!(max_items > 100_000, "{max_items}");
    // Tiles of one item, each with many segments.
    for shape in [
        BatchShape::new(1_000_000, 4_000, 8, 4_000),
        BatchShape::new(30_000, 100_000, 10, 3_000),
        BatchShape::new(30_000, 100_000, 10, 3_000).time_major(),
        BatchShape::new(longest_items(), 2, 6, 20_000),
    ] {
        for task in TASKS {
            // Splitting the batch as the error message advises leads to a plan in the end.
            let mut part = shape;
            let mut tries = 0;
            while let Err(PlanError::Dispatches { items, max_items }) = plan(&part, task, &wide) {
                assert!(items == part.items && max_items > 0 && max_items < items);
                part.items = max_items;
                tries += 1;
            }
            assert!(tries < 20 && plan(&part, task, &wide).is_ok(), "{part:?}");
        }
    }
    let rejected = plan(
        &BatchShape::new(1_000_000, 4_000, 8, 4_000),
        Task::LossAndGrad,
        &wide,
    );
    let message = rejected
        .map(|plan| plan.dispatches())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1000000 items") && message.contains("parts of at most"),
        "{message}"
    );
}

fn longest_items() -> usize {
    (1 << 31) - 1
}
