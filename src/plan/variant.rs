//! The kernels that a plan runs and its splits of the batch, as data.

use super::{Plan, PlannedDispatch};
use crate::kernels::{
    CHECK_LABELS, Kernel, SOFTMAX_STATS, SWEEP, SWEEP_LONG, VITERBI, VITERBI_LONG,
};

/// The kernels of a plan and its splits of the batch: the differences between plans of one shape
/// and one [`Task`](crate::Task) within different [`DeviceLimits`](crate::DeviceLimits).
///
/// ```
/// use ctc_wgpu::{Task, DeviceLimits, Options, Plan, BatchShape};
/// let shape = BatchShape::new(32, 50, 20, 6);
/// let options = Options::default();
/// let plan = |limits: &DeviceLimits| Plan::new(&shape, &options, Task::LossAndGrad, limits);
/// let variant = plan(&DeviceLimits::default())?.variant();
/// assert!(!variant.checkpointed && variant.batch_tiles == 1);
/// let small = DeviceLimits::default().max_binding(1 << 14);
/// assert!(plan(&small)?.variant().batch_tiles > 1);
/// # Ok::<(), ctc_wgpu::PlanError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PlanVariant {
    /// True if a kernel uses subgroup operations. Otherwise the invocations of a workgroup exchange
    /// values through workgroup memory, with barriers.
    pub subgroups: bool,
    /// The number of state pairs that each lane of a recursion over frames holds in registers; 0 if
    /// the plan has no such recursion.
    pub pairs_per_lane: u32,
    /// True if the workgroups of the sweeps are several subgroups. Each processes a window of state
    /// pairs that overlaps with the windows of the subgroups beside it.
    pub windows: bool,
    /// True if the sweeps read emissions (the probabilities of the classes at a frame, up to a
    /// factor) from a table that an earlier stage wrote. Otherwise they compute them.
    pub emission_table: bool,
    /// True if the recursions over frames keep their current states in a storage buffer, because an
    /// item has more states than a workgroup can hold in registers.
    pub states_in_storage: bool,
    /// True if the recursion stores checkpoints and runs a second time from each of them, because
    /// the states of all frames exceed a binding.
    pub checkpointed: bool,
    /// True if the logits of the blank and of the labels are first gathered into the workspace,
    /// because the logits that a recursion reads exceed a binding.
    pub gathered: bool,
    /// True if `softmax_stats` writes the gradient of the classes without labels, unless the
    /// gradient overwrites the logits. `grad` then only computes that of the other classes.
    pub row_gradient: bool,
    /// The number of batch tiles, which are computed one after the other; 0 for an empty batch.
    pub batch_tiles: usize,
    /// The number of input slices, which are bound one after the other because the logits of a
    /// batch tile exceed a binding; 0 for a batch without items or frames.
    pub input_slices: usize,
    /// True if a recursion over frames is split into several dispatches per segment, because a
    /// single one could take too long or too many loop iterations.
    pub ranges: bool,
}

impl Plan {
    /// Returns the variant of this plan, computed from its dispatches.
    #[must_use]
    pub fn variant(&self) -> PlanVariant {
        let any = |is: fn(&PlannedDispatch) -> bool| self.dispatches.iter().any(is);
        let of =
            |kernel: &'static Kernel| self.dispatches.iter().filter(move |d| d.kernel == kernel);
        PlanVariant {
            subgroups: any(|dispatch| dispatch.subgroups),
            pairs_per_lane: of(&SWEEP)
                .chain(of(&VITERBI))
                .map(|dispatch| dispatch.sweep.pairs.count())
                .max()
                .unwrap_or(0),
            windows: any(|dispatch| {
                dispatch.subgroups
                    && dispatch.kernel == &SWEEP
                    && dispatch.constant("LANES") > dispatch.constant("SUBGROUP")
            }),
            emission_table: any(|dispatch| dispatch.sweep.table),
            states_in_storage: any(|dispatch| {
                [&SWEEP_LONG, &VITERBI_LONG].contains(&dispatch.kernel)
            }),
            // Row 0 of the carry holds the current states. A dispatch that begins with another row
            // begins with a checkpoint.
            checkpointed: any(|dispatch| dispatch.params.carry_row != 0),
            gathered: any(|dispatch| dispatch.constant("WRITE_GATHERED") == Some(1)),
            row_gradient: any(PlannedDispatch::writes_row_gradient),
            // A batch tile has one dispatch of this kernel.
            batch_tiles: of(&CHECK_LABELS).count(),
            // Without rows, nothing is bound slice by slice.
            input_slices: match of(&SOFTMAX_STATS).next() {
                Some(_) => self.input_slices,
                None => 0,
            },
            ranges: any(|dispatch| dispatch.params.first_step > dispatch.params.segment_begin),
        }
    }
}
