//! The variants of a plan, forced: limits within which a batch runs on other kernels, or is split into more dispatches.

use crate::{
    Batch, BatchShape, CheckedBatch, DeviceLimits, LabelLayout, Options, Plan, PlanVariant, Task,
};

/// A way to force a variant: limits within which the plan of a batch is of that variant, if there are such limits.
#[derive(Debug)]
pub struct Variant {
    /// What it is called.
    pub name: &'static str,
    /// Changes the limits of a device; `None` if the device does not support the variant.
    pub(super) change: fn(&DeviceLimits) -> Option<DeviceLimits>,
    /// Whether the binding size is lowered until the plan is of the variant.
    pub(super) splits: bool,
    pub(super) is_meant: fn(&PlanVariant) -> bool,
    /// Whether it gives the bits of the device's own choice: it does unless it sums rows in another order.
    pub same_bits: bool,
}

/// Every variant of a plan that limits choose.
pub const VARIANTS: [Variant; 9] = [
    Variant {
        name: "subgroups",
        change: |limits| (limits.subgroup_size > 0).then_some(*limits),
        splits: false,
        is_meant: |variant| variant.subgroups,
        same_bits: true,
    },
    Variant {
        name: "barriers",
        change: |limits| {
            Some(DeviceLimits {
                subgroup_size: 0,
                ..*limits
            })
        },
        splits: false,
        is_meant: |variant| !variant.subgroups,
        same_bits: true,
    },
    Variant {
        name: "states in storage",
        change: in_storage,
        splits: false,
        is_meant: |variant| variant.states_in_storage,
        same_bits: true,
    },
    Variant {
        name: "checkpointed",
        change: unchanged,
        splits: true,
        is_meant: |variant| variant.checkpointed && !variant.gathered,
        same_bits: true,
    },
    Variant {
        name: "checkpointed in storage",
        change: in_storage,
        splits: true,
        is_meant: |variant| variant.checkpointed && variant.states_in_storage,
        same_bits: true,
    },
    Variant {
        name: "gathered",
        change: unchanged,
        splits: true,
        is_meant: |variant| variant.gathered,
        same_bits: true,
    },
    Variant {
        name: "in groups",
        change: unchanged,
        splits: true,
        is_meant: |variant| variant.batch_tiles > 1,
        same_bits: true,
    },
    Variant {
        name: "the least limits",
        change: |limits| {
            Some(DeviceLimits {
                max_invocations: 32,
                max_workgroups: 61,
                workgroup_memory: 8192,
                max_storage_buffers: DeviceLimits::STORAGE_BUFFERS,
                ..*limits
            })
        },
        splits: false,
        is_meant: |_| true,
        same_bits: false,
    },
    Variant {
        name: "rows as on another kind of device",
        change: |limits| {
            Some(DeviceLimits {
                software: !limits.software,
                ..*limits
            })
        },
        splits: false,
        is_meant: |_| true,
        same_bits: false,
    },
];

fn unchanged(limits: &DeviceLimits) -> Option<DeviceLimits> {
    Some(*limits)
}

fn in_storage(limits: &DeviceLimits) -> Option<DeviceLimits> {
    Some(DeviceLimits {
        max_register_quads: 0,
        ..*limits
    })
}

/// Returns the limits with the largest binding within which the plan of a batch is of the variant that is meant.
#[must_use]
pub fn lowered(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
    is_meant: fn(&PlanVariant) -> bool,
) -> Option<DeviceLimits> {
    // By an eighth at a time: some splits are of a few sizes only.
    let bindings = std::iter::successors(Some(1_u64 << 17), |n| (*n > 512).then_some(*n / 8 * 7));
    bindings
        .map(|max_binding| DeviceLimits {
            max_binding,
            ..*limits
        })
        .find(|limits| is_of(shape, options, task, limits, is_meant))
}

/// Returns whether the plan within these limits is of the variant that is meant. An empty batch is of none.
fn is_of(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
    is_meant: fn(&PlanVariant) -> bool,
) -> bool {
    Plan::new(shape, options, task, limits).is_ok_and(|plan| {
        let variant = plan.variant();
        variant.batch_tiles > 0 && is_meant(&variant)
    })
}

/// Returns the shape that the host plans a batch for, or `None` if the batch is refused.
#[must_use]
pub fn planned_shape(batch: &Batch<'_>, options: &Options) -> Option<BatchShape> {
    let mut shape = *CheckedBatch::new(batch, options).ok()?.shape();
    if shape.label_layout == LabelLayout::Concatenated {
        // Batches whose longest labels differ a little share a plan.
        shape.max_labels = shape.max_labels.next_power_of_two();
    }
    Some(shape)
}

impl Variant {
    /// Whether a device with these limits supports it.
    #[must_use]
    pub fn is_there(&self, limits: &DeviceLimits) -> bool {
        (self.change)(limits).is_some()
    }

    /// Returns the limits that force it on a batch on a device with these limits, if there are any: a short item, for
    /// example, has no checkpoints.
    #[must_use]
    pub fn forced(
        &self,
        limits: &DeviceLimits,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Option<DeviceLimits> {
        let shape = planned_shape(batch, options)?;
        let limits = (self.change)(limits)?;
        let task = Task::LossAndGrad;
        if self.splits {
            return lowered(&shape, options, task, &limits, self.is_meant);
        }
        is_of(&shape, options, task, &limits, self.is_meant).then_some(limits)
    }
}
