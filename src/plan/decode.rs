//! The dispatches of an alignment and of a greedy reading, in the order of their pipelines.

use super::build::{Builder, Phase, Segment, Tile, usize_of, word};
use super::{Iterations, Span, Step};
use crate::error::PlanError;
use crate::kernels::{self, ArrayId, Kernel};
use crate::params::Params;

/// Lanes of the stages after the path is known. What they add up has an order that must not depend on the batch.
const LANES: u32 = 32;

impl Builder<'_> {
    pub(super) fn alignment(&mut self, group: Tile) -> Result<(), PlanError> {
        let pages = self.tiling.segments();
        self.labels(group)?;
        if !self.tiling.gathered {
            self.rows(group, self.all(), &kernels::SOFTMAX_STATS)?;
        }
        for page in 0..pages {
            let page = self.segment(page);
            if self.tiling.gathered {
                self.rows(group, page, &kernels::SOFTMAX_STATS)?;
            }
            self.sweep(group, page, Phase::In)?;
        }
        for page in (0..pages).rev() {
            let page = self.segment(page);
            if self.tiling.checkpointed() {
                if self.tiling.gathered {
                    self.rows(group, page, &kernels::SOFTMAX_STATS)?;
                }
                self.sweep(group, page, Phase::Again)?;
            }
            self.trace(group, page)?;
        }
        self.path(group)?;
        self.spans_of_labels(group)?;
        self.score(group)
    }

    pub(super) fn greedy(&mut self, group: Tile) -> Result<(), PlanError> {
        self.labels(group)?;
        self.rows(group, self.all(), &kernels::SOFTMAX_STATS)?;
        let frames = self.shape.frames as u64;
        let (labels, label_base) = self.tiling.items_span(group.first, group.count, frames);
        let (hypothesis_frames, second_base) =
            self.tiling.items_span(group.first, group.count, 2 * frames);
        let (items, item_base) = self.tiling.items_span(group.first, group.count, 1);
        // Each window of lanes is counted in as many rounds as a number of lanes has bits.
        let rounds = frames.div_ceil(LANES.into()) * (3 + u64::from(LANES.ilog2())) + 8;
        self.push(Step {
            kernel: &kernels::COLLAPSE,
            label: "collapse",
            subgroups: false,
            constants: vec![("LANES", LANES), ("DISTINCT", self.distinct())],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                second_base: word(second_base),
                ..self.tile_params(group)
            },
            grid: self.folded(group.count, 1),
            spans: self.spans(&kernels::COLLAPSE, |array| match array {
                ArrayId::HypothesisLabels => labels,
                ArrayId::HypothesisFrames => hypothesis_frames,
                _ => items,
            }),
            iterations: Iterations::bounded(rounds, "frames T", frames)?,
        })
    }

    /// Back through a page, window by window.
    fn trace(&mut self, group: Tile, page: Segment) -> Result<(), PlanError> {
        let window = usize_of((Iterations::MAX - 8).into());
        let windows: Vec<_> = (page.first..page.end).step_by(window).collect();
        for first in windows.into_iter().rev() {
            let end = (first + window as u64).min(page.end);
            self.push(Step {
                kernel: &kernels::BACKTRACE,
                label: "backtrace",
                subgroups: false,
                constants: vec![("LANES", LANES), ("DIRECTIONS", 1)],
                params: Params {
                    first_step: word(first),
                    end_step: word(end),
                    ..self.segment_params(group, page)
                },
                grid: self.folded(group.count.div_ceil(LANES.into()), 1),
                spans: self.spans(&kernels::BACKTRACE, |_| Span::Table),
                iterations: Iterations::bounded(end - first + 1, "frames T", end)?,
            })?;
        }
        Ok(())
    }

    /// Chunk by chunk of the input.
    fn path(&mut self, group: Tile) -> Result<(), PlanError> {
        let frames = self.shape.frames as u64;
        let chunk = self.tiling.slice_frames;
        let lanes = 64.min(self.lanes);
        let (paths, label_base) = self.tiling.items_span(group.first, group.count, frames);
        for frame in (0..frames).step_by(usize_of(chunk.max(1))) {
            let count = chunk.min(frames - frame);
            let (input, params) = self.row_params(group, self.all(), frame, count);
            self.push(Step {
                kernel: &kernels::PATH,
                label: "path",
                subgroups: false,
                constants: vec![("LANES", lanes), ("INPUT", self.input())],
                params: Params {
                    label_base: word(label_base),
                    ..params
                },
                grid: self.folded((group.count * count).div_ceil(lanes.into()), 1),
                spans: self.spans(&kernels::PATH, |array| match array {
                    ArrayId::Input => input,
                    _ => paths,
                }),
                iterations: Iterations::bounded(1, "frames T", frames)?,
            })?;
        }
        Ok(())
    }

    fn spans_of_labels(&mut self, group: Tile) -> Result<(), PlanError> {
        let [frames, labels] = [self.shape.frames, self.shape.max_labels].map(|n| n as u64);
        let rows = (128.min(self.lanes) / LANES).max(1);
        let (paths, label_base) = self.tiling.items_span(group.first, group.count, frames);
        let (spans, item_base) = self.tiling.items_span(group.first, group.count, 2 * labels);
        let (means, second_base) = self.tiling.items_span(group.first, group.count, labels);
        // Two searches, the frames of a label, and a fold.
        let rounds = frames.div_ceil(LANES.into()) + 2 * 33 + 8;
        self.push(Step {
            kernel: &kernels::SPANS,
            label: "spans",
            subgroups: false,
            constants: vec![("LANES", LANES), ("ROWS", rows)],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                second_base: word(second_base),
                ..self.tile_params(group)
            },
            grid: self.folded((group.count * labels).div_ceil(rows.into()), 1),
            spans: self.spans(&kernels::SPANS, |array| match array {
                ArrayId::Spans => spans,
                ArrayId::Probabilities => means,
                _ => paths,
            }),
            iterations: Iterations::bounded(rounds, "frames T", frames)?,
        })
    }

    fn score(&mut self, group: Tile) -> Result<(), PlanError> {
        let kernel: &'static Kernel = &kernels::PATH_LOG_PROB;
        let frames = self.shape.frames as u64;
        let (paths, label_base) = self.tiling.items_span(group.first, group.count, frames);
        let (items, item_base) = self.tiling.items_span(group.first, group.count, 1);
        self.push(Step {
            kernel,
            label: kernel.name,
            subgroups: false,
            constants: vec![("LANES", LANES)],
            params: Params {
                item_base: word(item_base),
                label_base: word(label_base),
                ..self.tile_params(group)
            },
            grid: self.folded(group.count, 1),
            spans: self.spans(kernel, |array| match array {
                ArrayId::LogProbs => paths,
                _ => items,
            }),
            iterations: Iterations::bounded(frames.div_ceil(LANES.into()) + 8, "frames T", frames)?,
        })
    }
}
