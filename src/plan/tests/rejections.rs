//! Tests of batches that cannot be planned: the error names the limit, the axis or the option.

use crate::batch::{BatchShape, Layout};
use crate::error::{ParameterError, PlanError};
use crate::limits::DeviceLimits;
use crate::options::{Blank, Input, Options, Reduction};
use crate::plan::{Plan, Task};

fn rejection(shape: BatchShape, options: Options, limits: DeviceLimits) -> Option<PlanError> {
    Plan::new(&shape, &options, Task::LossAndGrad, &limits).err()
}

#[test]
fn a_limit_that_just_suffices_is_accepted_and_a_lower_one_is_named() {
    let (shape, options, limits) = (
        BatchShape::new(1, 3, 1_000, 2),
        Options::default(),
        DeviceLimits::default(),
    );
    let named = |error: Option<PlanError>| match error {
        Some(PlanError::Limit { limit, .. }) => limit,
        other => panic!("{other:?}"),
    };
    let buffers = |n| DeviceLimits {
        max_storage_buffers: n,
        ..limits
    };
    assert_eq!(rejection(shape, options, buffers(8)), None);
    assert_eq!(
        named(rejection(shape, options, buffers(7))),
        "max_storage_buffers_per_shader_stage"
    );
    // A frame of 1,000 classes has 4,000 bytes. Its binding may begin up to 256 bytes before it.
    let binding = |n| DeviceLimits {
        max_binding: n,
        ..limits
    };
    assert_eq!(rejection(shape, options, binding(4_256)), None);
    assert_eq!(
        named(rejection(shape, options, binding(4_255))),
        "max_storage_buffer_binding_size"
    );
    let lanes = |n| DeviceLimits {
        max_invocations: n,
        ..limits
    };
    assert_eq!(rejection(shape, options, lanes(32)), None);
    assert_eq!(
        named(rejection(shape, options, lanes(31))),
        "max_compute_invocations_per_workgroup"
    );
    let memory = |n| DeviceLimits {
        workgroup_memory: n,
        ..limits
    };
    assert_eq!(rejection(shape, options, memory(8_192)), None);
    assert_eq!(
        named(rejection(shape, options, memory(8_191))),
        "max_compute_workgroup_storage_size"
    );
    let grid = |n| DeviceLimits {
        max_workgroups: n,
        ..limits
    };
    let wide = BatchShape::new(10, 100, 10, 5);
    assert_eq!(rejection(wide, options, grid(8)), None);
    assert_eq!(
        named(rejection(wide, options, grid(7))),
        "max_compute_workgroups_per_dimension"
    );
}

#[test]
fn an_invalid_shape_or_option_is_an_error() {
    let limits = DeviceLimits::default();
    let axis = |shape| match rejection(shape, Options::default(), limits) {
        Some(PlanError::Parameter(ParameterError::Axis { axis, .. })) => axis,
        other => panic!("{other:?}"),
    };
    assert_eq!(axis(BatchShape::new(1, 1, 0, 0)), "classes C");
    assert_eq!(axis(BatchShape::new(1 << 31, 1, 1, 0)), "items N");
    assert_eq!(axis(BatchShape::new(1, 1 << 31, 1, 0)), "frames T");
    assert_eq!(axis(BatchShape::new(1, 1, 1, 1 << 31)), "max_labels Lmax");
    let shape = BatchShape::new(1, 1, 4, 0);
    let blank = |k| Options {
        blank: Blank::Index(k),
        ..Options::default()
    };
    assert_eq!(rejection(shape, blank(3), limits), None);
    assert_eq!(
        rejection(shape, blank(4), limits),
        Some(PlanError::Parameter(ParameterError::Blank {
            blank: 4,
            classes: 4
        }))
    );
    for epsilon in [f32::NAN, -1e-7, f32::INFINITY] {
        let options = Options {
            input: Input::Probs { epsilon },
            ..Options::default()
        };
        assert!(matches!(
            rejection(shape, options, limits),
            Some(PlanError::Parameter(ParameterError::Epsilon(_)))
        ));
    }
}

#[test]
fn the_longest_axes_of_the_documentation_can_be_planned() {
    let roomy = DeviceLimits {
        max_binding: 1 << 31,
        max_buffer: 1 << 31,
        ..DeviceLimits::default()
    };
    for shape in [
        BatchShape::new(1, 36_000, 20, 36_000),
        BatchShape::new(1, 15_000_000, 20, 10),
        BatchShape::new(1, 4, 15_000_000, 2),
    ] {
        for layout in [Layout::BatchMajor, Layout::TimeMajor] {
            assert_eq!(
                rejection(BatchShape { layout, ..shape }, Options::default(), roomy),
                None,
                "{shape:?}"
            );
        }
    }
    let software = DeviceLimits {
        software: true,
        ..roomy
    };
    let frames = |frames| {
        rejection(
            BatchShape::new(1, frames, 20, 10),
            Options::default(),
            software,
        )
    };
    assert_eq!(frames(1_900_000), None);
    assert!(matches!(
        frames(2_000_000),
        Some(PlanError::Parameter(ParameterError::Axis { .. }))
    ));
    // Longer axes are an error and not a wrong result.
    for shape in [
        BatchShape::new(1, 60_000, 20, 60_000),
        BatchShape::new(1, 4, 16_000_000, 2),
    ] {
        assert!(
            matches!(
                rejection(shape, Options::default(), roomy),
                Some(PlanError::Parameter(ParameterError::Axis { .. }))
            ),
            "{shape:?}"
        );
    }
}

#[test]
fn a_batch_that_exceeds_a_buffer_is_rejected_before_it_is_split() {
    let limits = DeviceLimits::default();
    for shape in [
        BatchShape::new((1 << 31) - 1, 1_000, 1_000, 100),
        BatchShape::new((1 << 31) - 1, (1 << 31) - 1, (1 << 31) - 1, (1 << 31) - 1),
        BatchShape::new(1 << 20, 1, 1, 1_000),
    ] {
        let error = rejection(shape, Options::default(), limits);
        assert!(
            matches!(
                error,
                Some(PlanError::Limit {
                    limit: "max_buffer_size",
                    ..
                })
            ),
            "{error:?}"
        );
    }
    // Millions of small items can be planned, even with the fewest lanes.
    let few = DeviceLimits {
        max_invocations: 32,
        max_buffer: 1 << 31,
        ..limits
    };
    let options = Options {
        reduction: Reduction::MeanVolume,
        ..Options::default()
    };
    let plan = Plan::new(
        &BatchShape::new(5_000_000, 2, 3, 1),
        &options,
        Task::LossAndGrad,
        &few,
    )
    .unwrap();
    assert!(plan.batch_tiles() > 1 && plan.dispatches() < 200, "{plan}");
}

#[test]
fn items_and_classes_without_frames_are_rejected_without_planning_them() {
    // Found by a fuzzer: 250 million tiles of four items, for an input of no bytes.
    let shape = BatchShape::new(1_040_252_927, 0, 7_995_392, 0);
    let error = rejection(shape, Options::default(), DeviceLimits::default());
    assert!(matches!(error, Some(PlanError::Limit { .. })), "{error:?}");
}

#[test]
fn an_array_of_one_item_that_is_too_large_names_the_limit_that_it_exceeds() {
    // The input has 0.8 GB, and the softmax statistics 1.6 GB.
    let shape = BatchShape::new(1, 200_000_000, 1, 0);
    let what = "the softmax statistics of one item";
    let (needs, has) = (1_600_000_000, 1_000_000_000);
    let rejected = |max_binding, max_buffer| {
        let limits = DeviceLimits {
            max_binding,
            max_buffer,
            ..DeviceLimits::default()
        };
        rejection(shape, Options::default(), limits)
    };
    let limit = |limit| {
        Some(PlanError::Limit {
            limit,
            has,
            needs,
            what,
        })
    };
    let (binding, buffer) = ("max_storage_buffer_binding_size", "max_buffer_size");
    assert_eq!(rejected(has, 4 << 30), limit(binding));
    assert_eq!(rejected(4 << 30, has), limit(buffer));
    let array = PlanError::Array { what, max: 1 << 30 };
    assert_eq!(rejected(4 << 30, 4 << 30), Some(array));
}
