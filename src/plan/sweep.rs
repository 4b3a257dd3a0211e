//! The dispatches of the recursions over frames: the sweeps of the loss, and Viterbi.

use super::build::{Builder, Phase, Segment, Tile, word};
use super::tiling::{BLOCK, EmissionTable, Tiling};
use super::{Iterations, PlannedDispatch, Task};
use crate::error::PlanError;
use crate::kernels::{self, Kernel, Pairs, SweepForm};
use crate::limits::DeviceLimits;
use crate::params::Params;

/// The number of lanes with which a workgroup uses all four schedulers of a GPU's core, if 32 lanes
/// run at once.
const FULL_CORE: u64 = 128;

/// The maximum number of lanes of a sweep whose lanes hold less than a quad.
const MAX_SWEEP_LANES: u64 = 512;

/// The workgroup memory of such a lane, in bytes: two edge states of each of two recursions, and
/// the sums of the blanks that the lanes of a quad exchange. See
/// `shaders/shared/neighbour_barrier.wgsl` and `swap_barrier.wgsl`.
const EXCHANGE_BYTES: u64 = 32 + 16;

/// The workgroup memory of a lane for each of its state pairs in `shaders/shared/windows.wgsl`, in
/// bytes: two copies of the 16 bytes of a pair, for two directions.
const WINDOW_BYTES: u64 = 64;

/// The workgroup memory of `shaders/shared/largest.wgsl`, in bytes.
const LARGEST_BYTES: u64 = 4;

/// How a recursion over the frames of a tile is computed.
struct Recursion {
    kernel: &'static Kernel,
    sweep: SweepForm,
    subgroups: bool,
    lanes: u64,
    /// The loop iterations of a lane per step, and per dispatch.
    per_step: u64,
    per_dispatch: u64,
}

impl Recursion {
    fn iterations(&self, steps: u64) -> u64 {
        steps * self.per_step + self.per_dispatch + 1
    }
}

impl Builder<'_> {
    fn recursion(&self) -> Recursion {
        let Tiling { quads, spill, .. } = self.tiling;
        let sweep = SweepForm {
            pairs: self.pairs_per_lane(),
            table: self.tiling.table.is_some(),
            last: false,
        };
        let (lanes, subgroups) = if spill {
            (u64::from(self.lanes), false)
        } else {
            self.lanes_of(sweep.pairs)
        };
        // In each step, a `_long` kernel loops over the quads: once in an alignment; in a sweep of
        // the loss up to three times, because it also copies and recomputes the rows of a block.
        let strides = quads.div_ceil(lanes) + 2;
        let (kernel, per_step, per_dispatch) = match (spill, self.task == Task::Align) {
            (true, true) => (&kernels::VITERBI_LONG, strides, 2 * strides),
            (true, false) => (&kernels::SWEEP_LONG, 3 * strides, 3 * strides),
            (false, true) => (&kernels::VITERBI, 1, 1),
            (false, false) => (&kernels::SWEEP, 1, 1),
        };
        Recursion {
            kernel,
            sweep,
            subgroups,
            lanes,
            per_step,
            per_dispatch,
        }
    }

    /// Returns the number of steps of a segment that one dispatch computes.
    fn steps_per_dispatch(&self, recursion: &Recursion, tile: Tile, segment: Segment) -> u64 {
        let left = u64::from(Iterations::MAX).saturating_sub(recursion.iterations(0));
        let steps = left / recursion.per_step / BLOCK * BLOCK;
        let steps = steps.max(BLOCK).min(segment.end - segment.first);
        let invocations = tile.count * self.task.directions() * recursion.lanes;
        self.timed_steps(recursion.kernel, invocations, steps, |steps| {
            recursion.iterations(steps)
        })
    }

    /// Returns true if the outward sweep of a tile is one dispatch of `sweep`, which only reads the
    /// carry.
    pub(super) fn outward_only_reads_carry(&self, tile: Tile) -> bool {
        let all = self.all_steps();
        !self.tiling.spill
            && self.tiling.segments() == 1
            && self.steps_per_dispatch(&self.recursion(), tile, all) == all.end
    }

    /// Adds a recursion through a segment, in one or more dispatches: from its first step to its
    /// last in the inward phases, from its last to its first in the outward phase.
    pub(super) fn sweep(
        &mut self,
        tile: Tile,
        segment: Segment,
        phase: Phase,
    ) -> Result<(), PlanError> {
        let recursion = self.recursion();
        let aligns = self.task == Task::Align;
        let steps = self.steps_per_dispatch(&recursion, tile, segment);
        let dispatches = (segment.end - segment.first).div_ceil(steps.max(1));
        let checkpointed = self.tiling.checkpointed();
        let checkpoint_row = if checkpointed { 1 + segment.index } else { 0 };
        let (label, carry_row, stores_rows) = match phase {
            Phase::Inward => (
                if aligns { "viterbi" } else { "sweep inward" },
                0,
                self.task != Task::Loss && !checkpointed,
            ),
            Phase::Recompute if aligns => ("viterbi recompute", checkpoint_row, true),
            Phase::Recompute => ("sweep recompute", checkpoint_row, true),
            Phase::Outward => ("sweep outward", 0, true),
        };
        // If entries are gathered, the kernel does not read the input, so only one row of it is
        // bound.
        let (frames, items) = if self.tiling.gathered {
            (1, 1)
        } else {
            (self.shape.frames as u64, tile.count)
        };
        let bound = Tile {
            count: items,
            ..tile
        };
        let (input, params) = self.row_params(bound, segment, 0, frames);
        for turn in 0..dispatches {
            let index = match phase {
                Phase::Outward => dispatches - 1 - turn,
                Phase::Inward | Phase::Recompute => turn,
            };
            let first = segment.first + index * steps;
            let end = (first + steps).min(segment.end);
            let sweep = SweepForm {
                last: phase == Phase::Outward && first == 0 && !self.tiling.spill,
                ..recursion.sweep
            };
            let stores_checkpoint = phase == Phase::Inward && first == segment.first;
            let mut constants = vec![
                ("LANES", word(recursion.lanes)),
                ("STORE_ROWS", stores_rows.into()),
                match self.tiling.table {
                    None => ("READ_GATHERED", self.tiling.gathered.into()),
                    Some(table) => ("OF_CLASSES", (table == EmissionTable::OfClasses).into()),
                },
                ("INPUT", self.input_kind()),
                ("DISTINCT", self.distinct()),
            ];
            if recursion.subgroups {
                constants.push(("SUBGROUP", self.limits.subgroup_size));
            }
            constants.push(if aligns {
                ("DIRECTIONS", 1)
            } else {
                ("OUTWARD", (phase == Phase::Outward).into())
            });
            self.push(PlannedDispatch {
                kernel: recursion.kernel,
                label,
                subgroups: recursion.subgroups,
                sweep,
                constants,
                params: Params {
                    tile_items: word(tile.count),
                    first_step: word(first),
                    end_step: word(end),
                    carry_row: word(carry_row),
                    checkpoint_row: word(if stores_checkpoint { checkpoint_row } else { 0 }),
                    ..params
                },
                grid: self.linear_grid(tile.count, word(self.task.directions())),
                ranges: self.binding_ranges(recursion.kernel, |_| input),
                iterations: Iterations::bounded(
                    recursion.iterations(end - first),
                    "labels min(Lmax, T)",
                    self.tiling.label_capacity,
                )?,
            })?;
        }
        Ok(())
    }

    /// Returns the lanes of a recursion in registers, and whether they exchange states by subgroup
    /// operations.
    ///
    /// Windows of subgroups (see `shaders/shared/windows.wgsl`) overlap, so a row may need more
    /// subgroups. They are faster, with one barrier per block and not per frame, unless the
    /// subgroups that share a scheduler become more.
    fn lanes_of(&self, pairs: Pairs) -> (u64, bool) {
        let groups = self.tiling.quads * groups_per_quad(pairs);
        let lanes = sweep_lanes(groups, self.limits.software);
        if groups <= self.subgroup() {
            return (self.subgroup(), true);
        }
        match self.window_lanes(groups, pairs) {
            Some(more) if more.div_ceil(FULL_CORE) == lanes.div_ceil(FULL_CORE) => (more, true),
            _ => (lanes, false),
        }
    }

    /// Returns the lanes of a sweep whose workgroup is several subgroups, if they may process
    /// windows: not in alignment, not with four pairs per lane, which only software adapters have,
    /// and on a software adapter, where shuffles take longer than barriers, only if a test forces
    /// the pairs per lane.
    fn window_lanes(&self, groups: u64, pairs: Pairs) -> Option<u64> {
        if self.task == Task::Align || pairs == Pairs::Four || !self.limits.has_gpu_sweeps() {
            return None;
        }
        // A window has the groups of two quads in common with the next one.
        let step = self.subgroup().saturating_sub(2 * groups_per_quad(pairs));
        if step == 0 {
            return None;
        }
        let lanes = (1 + (groups - self.subgroup()).div_ceil(step)) * self.subgroup();
        let bytes = lanes * WINDOW_BYTES * u64::from(pairs.count());
        (lanes <= max_sweep_lanes(self.limits) && bytes <= exchange_memory(self.limits))
            .then_some(lanes)
    }

    /// Returns the subgroup size if a workgroup can be one subgroup, otherwise 0.
    fn subgroup(&self) -> u64 {
        let size = u64::from(self.limits.subgroup_size);
        if size <= u64::from(self.lanes) {
            size
        } else {
            0
        }
    }

    /// Returns the number of state pairs per lane.
    ///
    /// On a GPU, one pair per lane is the fastest as long as the lanes do not exceed `FULL_CORE`.
    /// Beyond that, the subgroups that share a scheduler hide each other's latencies, and two pairs
    /// per lane are faster. `benches/NOTES.md` has the compiler's cycles. Four pairs spill
    /// registers on some GPUs. On a software adapter, they are always the fastest.
    fn pairs_per_lane(&self) -> Pairs {
        if self.tiling.spill || holds_quads(self.limits) {
            return Pairs::Four;
        }
        let fits = |count: Pairs, max_lanes: u64| {
            let (lanes, subgroups) = self.lanes_of(count);
            let bytes = if subgroups { 0 } else { lanes * EXCHANGE_BYTES };
            lanes <= max_lanes && bytes <= exchange_memory(self.limits)
        };
        let max_lanes = max_sweep_lanes(self.limits);
        let max_lanes_of_one = if self.limits.pairs_per_lane == 0 {
            FULL_CORE.min(max_lanes)
        } else {
            max_lanes
        };
        if self.limits.pairs_per_lane < 2 && fits(Pairs::One, max_lanes_of_one) {
            Pairs::One
        } else if fits(Pairs::Two, max_lanes) {
            Pairs::Two
        } else {
            Pairs::Four
        }
    }
}

/// Returns true if each lane of a recursion holds a quad: on a software adapter, or because a test
/// forces it.
fn holds_quads(limits: &DeviceLimits) -> bool {
    match limits.pairs_per_lane {
        0 => limits.software,
        pairs => pairs > 2,
    }
}

/// Returns true if a workgroup of at most `lanes` lanes holds a row of states of so many quads in
/// registers: with four pairs per lane, or on a GPU with two.
pub(super) fn fits_in_registers(quads: u64, limits: &DeviceLimits, lanes: u64) -> bool {
    let two_pairs_fit = || {
        let lanes = sweep_lanes(2 * quads, limits.software);
        lanes <= max_sweep_lanes(limits) && lanes * EXCHANGE_BYTES <= exchange_memory(limits)
    };
    quads <= lanes.min(limits.max_register_quads.into())
        && (limits.pairs_per_lane != 0 || limits.software || two_pairs_fit())
}

/// Returns the workgroup memory for exchanges between lanes, in bytes.
fn exchange_memory(limits: &DeviceLimits) -> u64 {
    u64::from(limits.workgroup_memory).saturating_sub(LARGEST_BYTES)
}

/// Returns the maximum number of lanes of a recursion whose lanes hold less than a quad.
fn max_sweep_lanes(limits: &DeviceLimits) -> u64 {
    MAX_SWEEP_LANES.min(limits.max_invocations.into())
}

/// Returns the groups of state pairs per quad.
fn groups_per_quad(pairs: Pairs) -> u64 {
    u64::from(4 / pairs.count())
}

/// Returns the lanes of a recursion that exchanges states through workgroup memory: one lane per
/// group of state pairs, rounded up so that few pipelines serve all label lengths. Each number of
/// lanes is compiled separately.
///
/// Most GPUs run 32 or 64 lanes at once, so a multiple of 32 costs nothing; short items get 8 or 16
/// lanes, because some GPUs have subgroups of that size. A software driver computes idle lanes too:
/// it gets multiples of 8 up to 64 lanes. Beyond that, it gets four sizes per doubling, so that
/// less than a quarter of the lanes is idle.
pub(super) fn sweep_lanes(quads: u64, software: bool) -> u64 {
    let doubled = quads.next_power_of_two();
    let min_multiple = if software { 8 } else { doubled.clamp(8, 32) };
    quads.next_multiple_of(min_multiple.max(doubled / 8))
}
