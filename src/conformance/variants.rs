//! The variants of a plan, forced: limits under which a batch goes through other kernels, or through more dispatches.

use crate::{Batch, BatchShape, CheckedBatch, Ctc, DeviceLimits, LabelLayout, Options, Plan, Task};

const SUBGROUPS: &str = "subgroups";

/// A way to force a variant: limits under which the shape's plan is of that kind, if there are any.
#[derive(Debug)]
pub struct Variant {
    /// What it is called.
    pub name: &'static str,
    limits: fn(&BatchShape, &Options, &DeviceLimits) -> Option<DeviceLimits>,
    is_meant: fn(&Plan) -> bool,
    /// Whether it gives the bits of the device's own choice: it does unless it sums rows in another order.
    pub same_bits: bool,
}

/// Every variant of a plan that limits choose.
pub const VARIANTS: [Variant; 9] = [
    Variant {
        name: SUBGROUPS,
        limits: |_, _, limits| (limits.subgroup_size > 0).then_some(*limits),
        is_meant: |plan| plan.to_string().contains("with subgroups"),
        same_bits: true,
    },
    Variant {
        name: "barriers",
        limits: |_, _, limits| {
            Some(DeviceLimits {
                subgroup_size: 0,
                ..*limits
            })
        },
        is_meant: |plan| !plan.to_string().contains("subgroups"),
        same_bits: true,
    },
    Variant {
        name: "states in storage",
        limits: |_, _, limits| {
            Some(DeviceLimits {
                max_register_quads: 0,
                ..*limits
            })
        },
        is_meant: |plan| plan.to_string().contains("by sweep_long"),
        same_bits: true,
    },
    Variant {
        name: "checkpointed",
        limits: |shape, options, limits| {
            lowered(shape, options, limits, |plan| {
                plan.segments() > 1 && plan.input_slices() == 1
            })
        },
        is_meant: |plan| plan.to_string().contains("sweep recompute"),
        same_bits: true,
    },
    Variant {
        name: "checkpointed in storage",
        limits: |shape, options, limits| {
            let limits = DeviceLimits {
                max_register_quads: 0,
                ..*limits
            };
            lowered(shape, options, &limits, |plan| plan.segments() > 1)
        },
        is_meant: |plan| {
            let printed = plan.to_string();
            printed.contains("sweep recompute") && printed.contains("by sweep_long")
        },
        same_bits: true,
    },
    Variant {
        name: "gathered",
        limits: |shape, options, limits| {
            lowered(shape, options, limits, |plan| plan.input_slices() > 1)
        },
        is_meant: |plan| plan.to_string().contains("WRITE_GATHERED 1"),
        same_bits: true,
    },
    Variant {
        name: "in groups",
        limits: |shape, options, limits| {
            lowered(shape, options, limits, |plan| plan.batch_tiles() > 1)
        },
        is_meant: |plan| plan.batch_tiles() > 1,
        same_bits: true,
    },
    Variant {
        name: "the least limits",
        limits: |_, _, limits| {
            Some(DeviceLimits {
                max_invocations: 32,
                max_workgroups: 61,
                workgroup_memory: 8192,
                max_storage_buffers: DeviceLimits::STORAGE_BUFFERS,
                ..*limits
            })
        },
        is_meant: |_| true,
        same_bits: false,
    },
    Variant {
        name: "rows as on another kind of device",
        limits: |_, _, limits| {
            Some(DeviceLimits {
                software: !limits.software,
                ..*limits
            })
        },
        is_meant: |_| true,
        same_bits: false,
    },
];

/// The limits with the largest binding under which the plan is `cut`.
pub fn lowered(
    shape: &BatchShape,
    options: &Options,
    limits: &DeviceLimits,
    cut: fn(&Plan) -> bool,
) -> Option<DeviceLimits> {
    // By an eighth at a time: some cuts are of a few sizes only.
    let bindings = std::iter::successors(Some(1_u64 << 17), |n| (*n > 512).then_some(*n / 8 * 7));
    bindings
        .map(|max_binding| DeviceLimits {
            max_binding,
            ..*limits
        })
        .find(|limits| {
            Plan::new(shape, options, Task::LossAndGrad, limits).is_ok_and(|plan| cut(&plan))
        })
}

impl Variant {
    /// Whether the device has what it needs at all.
    #[must_use]
    pub fn is_there(&self, limits: &DeviceLimits) -> bool {
        self.name != SUBGROUPS || limits.subgroup_size > 0
    }

    /// The limits that force it on a batch, if they do: a short item's states are not in pages.
    #[must_use]
    pub fn forced(&self, ctc: &Ctc, batch: &Batch<'_>, options: &Options) -> Option<DeviceLimits> {
        let mut shape = *CheckedBatch::new(batch, options).ok()?.shape();
        if shape.label_layout == LabelLayout::Concatenated {
            // So the host plans it, for batches whose longest labels differ a little.
            shape.max_labels = shape.max_labels.next_power_of_two();
        }
        let limits = (self.limits)(&shape, options, ctc.limits()?)?;
        let plan = Plan::new(&shape, options, Task::LossAndGrad, &limits).ok()?;
        (plan.batch_tiles() > 0 && (self.is_meant)(&plan)).then_some(limits)
    }
}
