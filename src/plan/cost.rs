//! An upper estimate of the time of a dispatch, on a slow integrated GPU.
//!
//! Operating systems reset a GPU that does not finish a dispatch within about two seconds. A plan
//! therefore splits a dispatch whose estimate exceeds
//! [`DeviceLimits::max_dispatch_us`](crate::DeviceLimits::max_dispatch_us): recursions by steps,
//! stages over the input by frames, and what remains too long by items, with smaller tiles. One
//! item's `label_links`, a single block of steps or four frames of an item are never split; they
//! stay below two seconds within [`Iterations::MAX`](super::Iterations::MAX).
//!
//! The estimate is that of no particular device. It must be too high rather than too low: a split
//! costs a fast GPU a few microseconds, a few times per second of the estimate.

use super::build::{Builder, Segment, Tile};
use super::tiling::BLOCK;
use super::{Iterations, PlannedDispatch};
use crate::kernels::{self, Kernel};

/// The default of [`DeviceLimits::max_dispatch_us`](crate::DeviceLimits::max_dispatch_us) on a GPU:
/// half of the two seconds that Windows allows.
pub(crate) const WATCHDOG_US: u32 = 1_000_000;

/// The invocations that the slow GPU runs at the same time: as 12 execution units of Intel's that
/// have seven threads of 8 lanes, rounded down to a power of two.
const INVOCATIONS: u64 = 512;

/// The invocations that the slow GPU runs in lockstep.
const SIMD_LANES: u64 = 8;

/// The time in which each of these invocations executes one instruction: 64 lanes per cycle at 1
/// GHz.
const INSTRUCTION_NS: u64 = 8;

/// The bytes per nanosecond of the slow GPU's memory, which it shares with the CPU: one channel of
/// DDR3.
const BYTES_PER_NS: u64 = 10;

/// Returns an upper bound of the instructions of one loop iteration of a kernel, from compiled code
/// (for `sweep` Intel's with four state pairs per lane, which takes more than the forms of GPUs;
/// otherwise NVIDIA's and AMD's). One iteration more stands for the code outside of loops.
fn instructions(kernel: &Kernel) -> u64 {
    match kernel.name {
        "sweep" => 1_600,
        "sweep_long" | "viterbi" => 700,
        "viterbi_long" | "join" => 500,
        "grad" => 250,
        "backtrace" => 200,
        "softmax_stats" => 80,
        "label_links" => 80,
        _ => 100,
    }
}

/// The work of a dispatch.
#[derive(Clone, Copy)]
struct Work {
    kernel: &'static Kernel,
    /// The invocations with work. Others end at once and take no time.
    invocations: u64,
    /// The loop iterations of an invocation, at most and on average.
    iterations: u64,
    average: u64,
    /// The bytes of the input and of the gradient, the only large arrays of which a dispatch may
    /// read more than it computes.
    bytes: u64,
}

impl Work {
    /// Returns the work of a row stage on `frames` frames of each item of a tile.
    fn of_rows(rows: Rows, frames: u64) -> Self {
        let is_grad = rows.kernel == &kernels::GRAD;
        // Four frames share the lanes of `grad`. It may write whole rows even if it usually visits
        // only the classes of labels.
        let shared = if is_grad { 4 } else { 1 };
        let accesses = if is_grad || rows.writes_gradient {
            2
        } else {
            1
        };
        // A segment has as many steps in each direction. Its ends may share four frames with its
        // neighbours.
        let frames = frames.min(rows.segment_frames + 4 * shared);
        let groups = rows.items.saturating_mul(frames.div_ceil(shared));
        Self {
            kernel: rows.kernel,
            invocations: groups.saturating_mul(rows.lanes),
            iterations: rows.iterations,
            // A label keeps the lanes busy that run with the lane of its class. Only in the longest
            // case are all labels of one class.
            average: if is_grad {
                rows.iterations - rows.labels + (rows.labels * SIMD_LANES).div_ceil(rows.lanes)
            } else {
                rows.iterations
            },
            bytes: rows
                .items
                .saturating_mul(frames)
                .saturating_mul(rows.row_bytes * accesses),
        }
    }

    fn of(dispatch: &PlannedDispatch, element_bytes: u64) -> Self {
        let PlannedDispatch { kernel, params, .. } = dispatch;
        let constant = |name| u64::from(dispatch.constant(name).unwrap_or(1));
        let iterations = u64::from(dispatch.iterations.count());
        if [&kernels::GRAD, &kernels::SOFTMAX_STATS].contains(kernel) {
            let directions = if *kernel == &kernels::GRAD {
                2
            } else {
                constant("DIRECTIONS")
            };
            let rows = Rows {
                kernel,
                items: params.tile_items.into(),
                segment_frames: directions * u64::from(params.segment_end - params.segment_begin),
                lanes: constant("LANES"),
                labels: params.label_capacity.into(),
                iterations,
                row_bytes: u64::from(params.classes) * element_bytes,
                writes_gradient: dispatch.writes_row_gradient(),
            };
            return Self::of_rows(rows, params.slice_frames.into());
        }
        let [x, y, z] = dispatch.grid.map(u64::from);
        let is_recursion = [
            &kernels::SWEEP,
            &kernels::SWEEP_LONG,
            &kernels::VITERBI,
            &kernels::VITERBI_LONG,
        ]
        .contains(kernel);
        // Workgroups past the last item of the tile end at once.
        let workgroups = if is_recursion {
            u64::from(params.tile_items) * z
        } else {
            x.saturating_mul(y).saturating_mul(z)
        };
        Self {
            kernel,
            invocations: workgroups.saturating_mul(constant("LANES") * constant("ROWS")),
            iterations,
            // The labels of an item share its frames.
            average: if *kernel == &kernels::SPANS {
                2 * 33 + 8 + iterations.div_ceil(u64::from(params.label_stride).max(1))
            } else {
                iterations
            },
            bytes: 0,
        }
    }

    fn microseconds(self) -> u64 {
        let waves = self.invocations.div_ceil(INVOCATIONS);
        let longest = self.iterations.saturating_sub(self.average);
        let iterations = waves
            .saturating_mul(self.average + 1)
            .saturating_add(longest);
        let ns = iterations.saturating_mul(instructions(self.kernel) * INSTRUCTION_NS);
        ns.saturating_add(self.bytes / BYTES_PER_NS).div_ceil(1_000)
    }
}

/// A stage over the rows of the input in one segment of a tile.
#[derive(Clone, Copy)]
struct Rows {
    kernel: &'static Kernel,
    items: u64,
    /// The frames of an item in the segment. Frames outside of it end at once.
    segment_frames: u64,
    lanes: u64,
    /// The labels of an item.
    labels: u64,
    iterations: u64,
    row_bytes: u64,
    /// True for a dispatch of `softmax_stats` that also writes the gradient.
    writes_gradient: bool,
}

/// Returns an upper estimate of the time of a dispatch on a slow integrated GPU, in microseconds.
pub(super) fn microseconds(dispatch: &PlannedDispatch, element_bytes: usize) -> u64 {
    Work::of(dispatch, element_bytes as u64).microseconds()
}

impl Builder<'_> {
    /// Returns the number of steps per dispatch of a recursion of `steps` steps that takes
    /// `iterations(n)` loop iterations for n steps: all, or fewer in whole blocks.
    pub(super) fn timed_steps(
        &self,
        kernel: &'static Kernel,
        invocations: u64,
        steps: u64,
        iterations: impl Fn(u64) -> u64,
    ) -> u64 {
        let work = |blocks: u64| Work {
            kernel,
            invocations,
            iterations: iterations(steps.min(blocks * BLOCK)),
            average: iterations(steps.min(blocks * BLOCK)),
            bytes: 0,
        };
        steps.min(self.most(steps.div_ceil(BLOCK), work) * BLOCK)
    }

    /// Returns the number of frames per dispatch of a row stage: at most those of an input slice,
    /// and a multiple of four if it is less.
    pub(super) fn timed_frames(
        &self,
        tile: Tile,
        segment: Segment,
        kernel: &'static Kernel,
        lanes: u64,
        iterations: Iterations,
    ) -> u64 {
        let shape = self.shape;
        let rows = Rows {
            kernel,
            items: tile.count,
            segment_frames: self.task.directions() * (segment.end - segment.first),
            lanes,
            labels: self.tiling.label_capacity,
            iterations: iterations.count().into(),
            row_bytes: shape.classes as u64 * shape.element.bytes() as u64,
            writes_gradient: self.row_gradient && kernel == &kernels::SOFTMAX_STATS,
        };
        let frames = self.tiling.slice_frames;
        let work = |fours: u64| Work::of_rows(rows, frames.min(4 * fours));
        frames.min(4 * self.most(frames.div_ceil(4), work))
    }

    /// Returns the largest number up to `max` whose work is within the limit of time, at least 1.
    fn most(&self, max: u64, work: impl Fn(u64) -> Work) -> u64 {
        let fits = |n| work(n).microseconds() <= self.limits.max_dispatch_us.into();
        let (mut most, mut too_many) = (1, max.max(1) + 1);
        if fits(max) {
            return max.max(1);
        }
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            if fits(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        most
    }

    /// Returns a smaller number of items for a tile if one of its dispatches, from index
    /// `first_dispatch` on, exceeds the limit of time.
    pub(super) fn fewer_items(&self, first_dispatch: usize) -> Option<u64> {
        let element_bytes = self.shape.element.bytes();
        let dispatches = self.dispatches[first_dispatch..].iter();
        let longest = dispatches.map(|dispatch| microseconds(dispatch, element_bytes));
        let longest = longest.max().unwrap_or(0);
        let (items, limit) = (self.tiling.tile_items, self.limits.max_dispatch_us.into());
        if longest <= limit || items == 1 {
            return None;
        }
        // Proportionally fewer. Since the time is not quite proportional, at least one less.
        Some((items * limit / longest).clamp(1, items - 1))
    }
}
