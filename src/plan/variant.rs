//! Which kernels a plan runs and how it splits the batch, as data.

use std::collections::BTreeSet;

use super::{Plan, Step};
use crate::kernels::{CHECK_LABELS, Kernel, SOFTMAX_STATS, SWEEP_LONG, VITERBI_LONG};

/// The kernels of a plan and its splits of the batch: what differs between plans of one shape and one [`Task`](crate::Task)
/// within different [`DeviceLimits`](crate::DeviceLimits).
///
/// ```
/// use ctc_wgpu::{Task, DeviceLimits, Options, Plan, BatchShape};
/// let shape = BatchShape::new(32, 50, 20, 6);
/// let plan = |limits: &DeviceLimits| Plan::new(&shape, &Options::default(), Task::LossAndGrad, limits);
/// let variant = plan(&DeviceLimits::default())?.variant();
/// assert!(!variant.checkpointed && variant.batch_tiles == 1);
/// let small = DeviceLimits { max_binding: 1 << 14, ..DeviceLimits::default() };
/// assert!(plan(&small)?.variant().batch_tiles > 1);
/// # Ok::<(), ctc_wgpu::PlanError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PlanVariant {
    /// Whether a kernel uses subgroup operations. Without them the invocations of a workgroup exchange values through
    /// workgroup memory and barriers.
    pub subgroups: bool,
    /// Whether the recursions over frames keep their current states in a storage buffer, because an item has more states
    /// than a workgroup can hold in registers.
    pub states_in_storage: bool,
    /// Whether the recursion stores checkpoints and runs a second time from each of them, because the states of all frames
    /// do not fit one binding.
    pub checkpointed: bool,
    /// Whether the logits of the labels are first copied to a table, because the logits that a recursion reads do not fit
    /// one binding.
    pub gathered: bool,
    /// Number of ranges of items that are computed one after the other; 0 for an empty batch.
    pub batch_tiles: usize,
    /// Number of ranges of frames that are bound one after the other, because the logits of a batch tile do not fit one
    /// binding; 0 for a batch without items or frames.
    pub input_slices: usize,
}

impl Plan {
    /// Returns the variant of this plan, computed from its dispatches.
    #[must_use]
    pub fn variant(&self) -> PlanVariant {
        let any = |is: fn(&Step) -> bool| self.steps.iter().any(is);
        let of = |kernel: &'static Kernel| self.steps.iter().filter(move |s| s.kernel == kernel);
        let first_frames: BTreeSet<u32> =
            of(&SOFTMAX_STATS).map(|s| s.params.first_frame).collect();
        PlanVariant {
            subgroups: any(|step| step.subgroups),
            states_in_storage: any(|step| [&SWEEP_LONG, &VITERBI_LONG].contains(&step.kernel)),
            // Row 0 of the carry holds the current states, every other row a checkpoint.
            checkpointed: any(|step| step.params.carry_row != 0),
            gathered: any(|step| step.constant("GATHER") == Some(1)),
            // A batch tile has one dispatch of this kernel.
            batch_tiles: of(&CHECK_LABELS).count(),
            input_slices: first_frames.len(),
        }
    }
}
