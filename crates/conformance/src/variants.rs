//! Forces the variants of a plan: changes the limits of a device so that a batch runs on other
//! kernels, or is split into more dispatches.

use ctc_wgpu::{Batch, BatchShape, CheckedBatch, DeviceLimits, Options, Plan, PlanVariant, Task};

/// A variant, and the change of a device's limits that forces it.
#[derive(Debug)]
pub struct Variant {
    /// The name, as it is printed.
    pub name: &'static str,
    /// Changes the limits of a device; `None` if the device does not support the variant.
    pub(super) change: fn(&DeviceLimits) -> Option<DeviceLimits>,
    /// True if the binding size is lowered until the plan is of this variant.
    pub(super) splits: bool,
    /// Returns true if a plan is of this variant.
    pub(super) matches: fn(&PlanVariant) -> bool,
    /// True if the results have the same bits as those of the plan that the library chooses. False
    /// for variants that sum rows in another order.
    pub same_bits: bool,
    /// True if only items whose states need more than one subgroup have plans of the variant.
    pub needs_long_labels: bool,
}

/// Every variant that a change of the limits can force.
pub const VARIANTS: [Variant; 17] = [
    Variant {
        name: "subgroups",
        change: |limits| (limits.subgroup_size > 0).then_some(*limits),
        splits: false,
        matches: |variant| variant.subgroups,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "barriers",
        change: |limits| Some(limits.subgroup_size(0)),
        splits: false,
        matches: |variant| !variant.subgroups,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "one pair per lane",
        change: |limits| (limits.subgroup_size > 0).then_some(limits.pairs_per_lane(1)),
        splits: false,
        matches: |variant| variant.pairs_per_lane == 1,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "one pair per lane, barriers",
        change: |limits| Some(limits.pairs_per_lane(1).subgroup_size(0)),
        splits: false,
        matches: |variant| variant.pairs_per_lane == 1,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "two pairs per lane",
        change: |limits| Some(limits.pairs_per_lane(2).subgroup_size(0)),
        splits: false,
        matches: |variant| variant.pairs_per_lane == 2,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "four pairs per lane",
        change: |limits| Some(limits.pairs_per_lane(4).subgroup_size(0)),
        splits: false,
        matches: |variant| variant.pairs_per_lane == 4,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "windows, one pair per lane",
        // A window of 8 lanes would have no quad of its own.
        change: |limits| (limits.subgroup_size > 8).then_some(limits.pairs_per_lane(1)),
        splits: false,
        matches: |variant| variant.windows && variant.pairs_per_lane == 1,
        same_bits: true,
        needs_long_labels: true,
    },
    Variant {
        name: "windows, two pairs per lane",
        change: |limits| (limits.subgroup_size > 4).then_some(limits.pairs_per_lane(2)),
        splits: false,
        matches: |variant| variant.windows && variant.pairs_per_lane == 2,
        same_bits: true,
        needs_long_labels: true,
    },
    Variant {
        name: "states in storage",
        change: in_storage,
        splits: false,
        matches: |variant| variant.states_in_storage,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "states in storage, emission table",
        change: |limits| Some(limits.max_register_quads(0).pairs_per_lane(4)),
        splits: false,
        matches: |variant| variant.states_in_storage && variant.emission_table,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "checkpointed",
        change: unchanged,
        splits: true,
        matches: |variant| variant.checkpointed && !variant.gathered,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "checkpointed in storage",
        change: in_storage,
        splits: true,
        matches: |variant| variant.checkpointed && variant.states_in_storage,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "gathered",
        change: unchanged,
        splits: true,
        matches: |variant| variant.gathered,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "batch tiles",
        change: unchanged,
        splits: true,
        matches: |variant| variant.batch_tiles > 1,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "dispatch ranges",
        change: |limits| Some(limits.max_dispatch_us(200)),
        splits: false,
        matches: |variant| variant.ranges,
        same_bits: true,
        needs_long_labels: false,
    },
    Variant {
        name: "lowest limits",
        change: |limits| {
            Some(
                limits
                    .max_invocations(32)
                    .max_workgroups(61)
                    .workgroup_memory(8192)
                    .max_storage_buffers(DeviceLimits::STORAGE_BUFFERS),
            )
        },
        splits: false,
        matches: |_| true,
        same_bits: false,
        needs_long_labels: false,
    },
    // Also reads single entries of the input in place of vectors, or vice versa.
    Variant {
        name: "other order of row sums",
        change: |limits| Some(limits.software(!limits.software)),
        splits: false,
        matches: |_| true,
        same_bits: false,
        needs_long_labels: false,
    },
];

fn unchanged(limits: &DeviceLimits) -> Option<DeviceLimits> {
    Some(*limits)
}

fn in_storage(limits: &DeviceLimits) -> Option<DeviceLimits> {
    Some(limits.max_register_quads(0))
}

/// Returns `limits` with the largest binding size for which the plan of a batch is of the variant
/// that `matches` accepts; `None` if there is no such size.
#[must_use]
pub fn limits_for_variant(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
    matches: fn(&PlanVariant) -> bool,
) -> Option<DeviceLimits> {
    // Lowers the size by an eighth at a time, since some splits occur only for a few sizes.
    let bindings = std::iter::successors(Some(1_u64 << 17), |n| (*n > 512).then_some(*n / 8 * 7));
    bindings
        .map(|max_binding| limits.max_binding(max_binding))
        .find(|limits| plan_matches(shape, options, task, limits, matches))
}

/// Returns true if the plan within these limits is of the variant that `matches` accepts. The plan
/// of an empty batch is of no variant.
fn plan_matches(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
    matches: fn(&PlanVariant) -> bool,
) -> bool {
    Plan::new(shape, options, task, limits).is_ok_and(|plan| {
        let variant = plan.variant();
        variant.batch_tiles > 0 && matches(&variant)
    })
}

/// Returns the shape for which [`Ctc`](ctc_wgpu::Ctc) plans a batch; `None` if the batch is
/// rejected.
#[must_use]
pub fn planned_shape(batch: &Batch<'_>, options: &Options) -> Option<BatchShape> {
    let checked = CheckedBatch::new(batch, options).ok()?;
    Some(checked.shape().for_plan())
}

impl Variant {
    /// Returns true if a device with these limits supports the variant.
    #[must_use]
    pub fn is_supported(&self, limits: &DeviceLimits) -> bool {
        (self.change)(limits).is_some()
    }

    /// Returns the limits that force the variant for a batch, derived from the `limits` of a
    /// device. Returns `None` if there are none: for example, a short item has no checkpoints.
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
            return limits_for_variant(&shape, options, task, &limits, self.matches);
        }
        plan_matches(&shape, options, task, &limits, self.matches).then_some(limits)
    }
}
