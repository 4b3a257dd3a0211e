//! The dispatches of forced alignment and of greedy decoding, in the order of their stages.

use super::build::{Builder, Segment, Tile, usize_of, word};
use super::tiling::STEPS_PER_WORD;
use super::{BindingRange, Iterations, PlannedDispatch};
use crate::error::PlanError;
use crate::kernels::{self, ArrayId, Kernel, SweepForm};
use crate::params::Params;

/// The constant `LANES` of the stages `backtrace`, `spans`, `path_log_prob` and `collapse`. Except
/// for `backtrace`, it is the same for every batch and adapter, because the order of a sum must not
/// depend on them.
const LANES: u32 = 32;

impl Builder<'_> {
    pub(super) fn alignment(&mut self, tile: Tile) -> Result<(), PlanError> {
        self.check_labels(tile)?;
        self.sweep_inward(tile)?;
        for index in (0..self.tiling.segments()).rev() {
            let segment = self.segment(index);
            self.recompute(tile, segment)?;
            self.backtrace(tile, segment)?;
        }
        self.path(tile)?;
        self.label_spans(tile)?;
        self.path_log_prob(tile)
    }

    pub(super) fn greedy(&mut self, tile: Tile) -> Result<(), PlanError> {
        self.check_labels(tile)?;
        self.row_stage(tile, self.all_steps(), &kernels::SOFTMAX_STATS)?;
        let frames = self.shape.frames as u64;
        let (labels, label_base) = self.tiling.items_range(tile.first, tile.count, frames);
        let (hypothesis_frames, second_base) =
            self.tiling.items_range(tile.first, tile.count, 2 * frames);
        let (items, item_base) = self.tiling.items_range(tile.first, tile.count, 1);
        // The frames, the elements past the last label, and the sum over the lanes.
        let iterations = 2 * frames.div_ceil(LANES.into()) + 8;
        self.push(PlannedDispatch {
            kernel: &kernels::COLLAPSE,
            label: "collapse",
            subgroups: false,
            sweep: SweepForm::QUADS,
            constants: vec![("LANES", LANES), ("DISTINCT", self.distinct())],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                second_base: word(second_base),
                ..self.tile_params(tile)
            },
            grid: self.linear_grid(tile.count, 1),
            ranges: self.binding_ranges(&kernels::COLLAPSE, |array| match array {
                ArrayId::HypothesisLabels => labels,
                ArrayId::HypothesisFrames => hypothesis_frames,
                _ => items,
            }),
            iterations: Iterations::bounded(iterations, "frames T", frames)?,
        })
    }

    /// Adds the backtrace of a segment from its last step to its first, in one or more dispatches.
    fn backtrace(&mut self, tile: Tile, segment: Segment) -> Result<(), PlanError> {
        // A software driver computes idle lanes too.
        let lanes: u64 = if self.limits.software {
            8
        } else {
            LANES.into()
        };
        let invocations = tile.count * lanes;
        // A window has as many frames as lanes. The lanes loop over its rows. The first and the
        // last window may be short.
        let per_window = 1 + lanes / STEPS_PER_WORD;
        let iterations = |steps: u64| (steps / lanes + 2) * per_window + 1;
        let steps = (segment.end - segment.first).min(u64::from(Iterations::MAX));
        let steps = self.timed_steps(&kernels::BACKTRACE, invocations, steps, iterations);
        let steps = usize_of(steps.max(1));
        let starts: Vec<_> = (segment.first..segment.end).step_by(steps).collect();
        for first in starts.into_iter().rev() {
            let end = (first + steps as u64).min(segment.end);
            self.push(PlannedDispatch {
                kernel: &kernels::BACKTRACE,
                label: "backtrace",
                subgroups: false,
                sweep: SweepForm::QUADS,
                constants: vec![("LANES", word(lanes)), ("DIRECTIONS", 1)],
                params: Params {
                    first_step: word(first),
                    end_step: word(end),
                    ..self.segment_params(tile, segment)
                },
                grid: self.linear_grid(tile.count, 1),
                ranges: self.binding_ranges(&kernels::BACKTRACE, |_| BindingRange::Workspace),
                iterations: Iterations::bounded(iterations(end - first), "frames T", end)?,
            })?;
        }
        Ok(())
    }

    /// Adds the stage `path`, with one dispatch per input slice.
    fn path(&mut self, tile: Tile) -> Result<(), PlanError> {
        let frames = self.shape.frames as u64;
        let slice_frames = self.tiling.slice_frames;
        let lanes = 64.min(self.lanes);
        let (paths, label_base) = self.tiling.items_range(tile.first, tile.count, frames);
        for frame in (0..frames).step_by(usize_of(slice_frames.max(1))) {
            let count = slice_frames.min(frames - frame);
            let (input, params) = self.row_params(tile, self.all_steps(), frame, count);
            self.push(PlannedDispatch {
                kernel: &kernels::PATH,
                label: "path",
                subgroups: false,
                sweep: SweepForm::QUADS,
                constants: vec![("LANES", lanes), ("INPUT", self.input_kind())],
                params: Params {
                    label_base: word(label_base),
                    ..params
                },
                grid: self.linear_grid((tile.count * count).div_ceil(lanes.into()), 1),
                ranges: self.binding_ranges(&kernels::PATH, |array| match array {
                    ArrayId::Input => input,
                    _ => paths,
                }),
                iterations: Iterations::bounded(1, "frames T", frames)?,
            })?;
        }
        Ok(())
    }

    fn label_spans(&mut self, tile: Tile) -> Result<(), PlanError> {
        let [frames, labels] = [self.shape.frames, self.shape.max_labels].map(|n| n as u64);
        let rows = (128.min(self.lanes) / LANES).max(1);
        let (paths, label_base) = self.tiling.items_range(tile.first, tile.count, frames);
        let (spans, item_base) = self.tiling.items_range(tile.first, tile.count, 2 * labels);
        let (means, second_base) = self.tiling.items_range(tile.first, tile.count, labels);
        // Two binary searches over the frames, the frames of a label, and the sum over the lanes.
        let iterations = frames.div_ceil(LANES.into()) + 2 * 33 + 8;
        self.push(PlannedDispatch {
            kernel: &kernels::SPANS,
            label: "spans",
            subgroups: false,
            sweep: SweepForm::QUADS,
            constants: vec![("LANES", LANES), ("ROWS", rows)],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                second_base: word(second_base),
                ..self.tile_params(tile)
            },
            grid: self.linear_grid((tile.count * labels).div_ceil(rows.into()), 1),
            ranges: self.binding_ranges(&kernels::SPANS, |array| match array {
                ArrayId::Spans => spans,
                ArrayId::Probabilities => means,
                _ => paths,
            }),
            iterations: Iterations::bounded(iterations, "frames T", frames)?,
        })
    }

    fn path_log_prob(&mut self, tile: Tile) -> Result<(), PlanError> {
        let kernel: &'static Kernel = &kernels::PATH_LOG_PROB;
        let frames = self.shape.frames as u64;
        let (paths, label_base) = self.tiling.items_range(tile.first, tile.count, frames);
        let (items, item_base) = self.tiling.items_range(tile.first, tile.count, 1);
        self.push(PlannedDispatch {
            kernel,
            label: kernel.name,
            subgroups: false,
            sweep: SweepForm::QUADS,
            constants: vec![("LANES", LANES)],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                ..self.tile_params(tile)
            },
            grid: self.linear_grid(tile.count, 1),
            ranges: self.binding_ranges(kernel, |array| match array {
                ArrayId::LogProbs => paths,
                _ => items,
            }),
            iterations: Iterations::bounded(frames.div_ceil(LANES.into()) + 8, "frames T", frames)?,
        })
    }
}
