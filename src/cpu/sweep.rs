//! The sweeps: alpha and beta run from the ends of the item to its middle (inward), and on to the
//! other ends (outward).
//!
//! An inward sweep stores the first row of each block of frames as a checkpoint. The outward sweep
//! of the other direction recomputes the rows between the checkpoints one block at a time, so that
//! they stay in the cache. It multiplies each of them by the incoming paths of its own direction,
//! which gives the weights of the frame: its occupancies up to a common factor.

use std::iter::StepBy;
use std::ops::Range;

use fearless_simd::{Simd, f32x16, i32x16, prelude::*};

use super::emissions::Emissions;
use super::index::{
    BLOCK, LANES, aligned, aligned_ref, frame_of_step, padded, steps_to_middle, vec_bytes,
};
use super::item::ItemData;
use super::scaled::{Scaled, power_of_two};
use super::states::{Direction, Incoming, StateRow, StateRowMut, array_floats, row_floats};

/// The first row of each block of an inward sweep.
pub(super) type Checkpoints = Vec<f32>;

/// One direction with its buffers; the two directions may run on two threads.
#[derive(Debug)]
pub(super) struct Sweeper {
    direction: Direction,
    /// The row of the last frame that has been computed.
    previous: Vec<f32>,
    /// The row that is being computed.
    current: Vec<f32>,
    /// A block of rows of the other direction.
    recomputed: Vec<f32>,
    /// The emissions of the labels in each frame of a block, mantissa and exponent, in the order of
    /// a row.
    emissions: Vec<f32>,
    /// For each class of the item, the sum of its weights in each frame of a block.
    class_sums: Vec<[f32; BLOCK]>,
}

impl Sweeper {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            previous: Vec::new(),
            current: Vec::new(),
            recomputed: Vec::new(),
            emissions: Vec::new(),
            class_sums: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let floats = [
            &self.previous,
            &self.current,
            &self.recomputed,
            &self.emissions,
        ];
        floats.map(vec_bytes).iter().sum::<usize>() + vec_bytes(&self.class_sums)
    }

    /// Returns the row of the last frame that has been computed.
    #[inline(always)]
    pub(super) fn latest_row(&self, item: &ItemData) -> StateRow<'_> {
        StateRow::new(&aligned_ref(&self.previous)[..row_floats(item.pairs())])
    }

    /// Sweeps from the direction's end of the item to the middle, and stores checkpoints.
    #[inline(always)]
    pub(super) fn sweep_inward<S: Simd>(
        &mut self,
        simd: S,
        item: &ItemData,
        emissions: &Emissions,
        checkpoints: &mut Checkpoints,
    ) {
        let direction = self.direction;
        let floats = row_floats(item.pairs());
        let steps = steps_to_middle(direction, item.frames);
        let checkpoints = aligned(checkpoints, steps.div_ceil(BLOCK) * floats);
        let mut previous = aligned(&mut self.previous, floats);
        let mut current = aligned(&mut self.current, floats);
        let by_pair = aligned(&mut self.emissions, 2 * array_floats(item.pairs()));
        StateRowMut::new(previous).set_initial(direction, item.labels.len());
        StateRowMut::new(current).set_initial(direction, item.labels.len());
        for first in (0..steps).step_by(BLOCK) {
            let block = Block::new(simd, direction, item, first);
            for k in first..first + block.count {
                let by_class = emissions.frame(frame_of_step(direction, item.frames, k), item);
                block.expand_emissions(by_class, by_pair);
                block.step(previous, by_class, by_pair, current);
                if k == first {
                    checkpoints[k / BLOCK * floats..][..floats].copy_from_slice(current);
                }
                std::mem::swap(&mut previous, &mut current);
            }
        }
        if steps % 2 == 1 {
            std::mem::swap(&mut self.previous, &mut self.current);
        }
    }

    /// Sweeps from the middle to the other end, along the checkpoints of the other direction, and
    /// writes the occupancies of these frames, in ascending order: frames × classes of the item.
    #[inline(always)]
    pub(super) fn sweep_outward<S: Simd>(
        &mut self,
        simd: S,
        item: &ItemData,
        emissions: &Emissions,
        checkpoints: &Checkpoints,
        occupancies: &mut [f32],
    ) {
        let (direction, other) = (self.direction, self.direction.opposite());
        let (floats, y_floats) = (row_floats(item.pairs()), 2 * array_floats(item.pairs()));
        let classes = item.classes.len();
        let steps = steps_to_middle(other, item.frames);
        let first_frame = match direction {
            Direction::Alpha => item.frames - steps,
            Direction::Beta => 0,
        };
        let checkpoints = aligned_ref(checkpoints);
        let mut previous = aligned(&mut self.previous, floats);
        let mut current = aligned(&mut self.current, floats);
        let rows = aligned(&mut self.recomputed, BLOCK * floats);
        let by_pair = aligned(&mut self.emissions, BLOCK * y_floats);
        for first in (0..steps).step_by(BLOCK).rev() {
            let recompute = Block::new(simd, other, item, first);
            let block = Block {
                direction,
                ..recompute.clone()
            };
            let frame = |j: usize| frame_of_step(other, item.frames, first + j);
            rows[..floats].copy_from_slice(&checkpoints[first / BLOCK * floats..][..floats]);
            for j in 0..block.count {
                let by_class = emissions.frame(frame(j), item);
                let by_pair = &mut by_pair[j * y_floats..][..y_floats];
                block.expand_emissions(by_class, by_pair);
                if j > 0 {
                    let (done, rest) = rows.split_at_mut(j * floats);
                    let last = &done[(j - 1) * floats..];
                    recompute.step(last, by_class, by_pair, &mut rest[..floats]);
                }
            }
            self.class_sums.clear();
            self.class_sums.resize(classes, [0.0; BLOCK]);
            let mut inverses = [0.0; BLOCK];
            for j in (0..block.count).rev() {
                let by_class = emissions.frame(frame(j), item);
                let by_pair = &by_pair[j * y_floats..][..y_floats];
                let row = &mut rows[j * floats..][..floats];
                let max_exponent =
                    block.step_and_multiply(previous, by_class, by_pair, current, row);
                let [blank_sum, label_sum] = block.sum_weights(row, max_exponent);
                self.class_sums[0][j] = blank_sum;
                inverses[j] = 1.0 / (blank_sum + label_sum);
                std::mem::swap(&mut previous, &mut current);
            }
            block.add_class_sums(rows, &mut self.class_sums);
            for (j, inverse) in inverses.iter().enumerate().take(block.count) {
                let start = (frame(j) - first_frame) * classes;
                let row = &mut occupancies[start..start + classes];
                for (out, class_sums) in row.iter_mut().zip(&self.class_sums) {
                    *out = class_sums[j] * inverse;
                }
            }
        }
    }
}

/// A block of frames, and the direction of a sweep through them.
#[derive(Debug, Clone)]
struct Block<'a, S: Simd> {
    simd: S,
    direction: Direction,
    item: &'a ItemData,
    /// The number of frames.
    count: usize,
    /// The state pairs that an alignment can pass through in these frames, rounded to whole
    /// vectors: too few frames come before to reach the higher pairs, and too few are left after
    /// the lower ones. Outside this range a row may hold numbers of earlier frames, which are not
    /// NaN. Wherever it does, the other direction's row is 0, so the products are 0.
    pairs: Range<usize>,
}

impl<'a, S: Simd> Block<'a, S> {
    /// Creates the block that begins at step `first` of `direction`.
    #[inline(always)]
    fn new(simd: S, direction: Direction, item: &'a ItemData, first: usize) -> Self {
        let labels = item.labels.len();
        let count = BLOCK.min(steps_to_middle(direction, item.frames) - first);
        let ends = [first, first + count - 1].map(|k| frame_of_step(direction, item.frames, k));
        let (first, last) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let lowest = (first + labels).saturating_sub(item.frames);
        // One more than pair `last`, because a vector of beta has label p − 1 next to blank p.
        let highest = (last + 1).min(labels);
        Self {
            simd,
            direction,
            item,
            count,
            pairs: lowest / LANES * LANES..padded(highest + 1),
        }
    }

    #[inline(always)]
    fn vectors(&self) -> StepBy<Range<usize>> {
        self.pairs.clone().step_by(LANES)
    }

    /// Expands the emissions of a frame from one per class to one per label.
    #[inline(always)]
    fn expand_emissions(&self, by_class: &[f32], by_pair: &mut [f32]) {
        let labels = self.pairs.start..self.pairs.end + 1;
        let (by_class, _) = by_class.as_chunks::<2>();
        let (by_pair, _) = by_pair.as_chunks_mut::<2>();
        let class_indices = &self.item.class_index[labels.clone()];
        for (out, index) in by_pair[labels].iter_mut().zip(class_indices) {
            *out = by_class[*index as usize];
        }
    }

    /// Computes the row `current` from the row `previous` and the emissions of a frame.
    #[inline(always)]
    fn step(&self, previous: &[f32], by_class: &[f32], by_pair: &[f32], current: &mut [f32]) {
        self.step_with(
            previous,
            by_class,
            by_pair,
            current,
            #[inline(always)]
            |_, _| (),
        );
    }

    /// Computes a step, and calls `visit` with the incoming paths of each vector.
    #[inline(always)]
    fn step_with(
        &self,
        previous: &[f32],
        by_class: &[f32],
        by_pair: &[f32],
        current: &mut [f32],
        mut visit: impl FnMut(usize, &Incoming<S>),
    ) {
        let (simd, direction) = (self.simd, self.direction);
        let previous = StateRow::new(previous);
        let mut current = StateRowMut::new(current);
        let y_blank = Scaled::new(simd, by_class[0], by_class[1].to_bits().cast_signed());
        for p in self.vectors() {
            let incoming = previous.incoming(simd, direction, self.item, p);
            visit(p, &incoming);
            current.apply_emissions(simd, direction, p, &incoming, y_blank, by_pair);
        }
        current.clear_boundary(direction, &self.pairs);
    }

    /// Computes a step, and multiplies `other_row`, the other direction's row of the same frame, by
    /// the incoming paths of each state: the products are the weights of the frame. Returns their
    /// largest exponent.
    #[inline(always)]
    fn step_and_multiply(
        &self,
        previous: &[f32],
        by_class: &[f32],
        by_pair: &[f32],
        current: &mut [f32],
        other_row: &mut [f32],
    ) -> i32 {
        let simd = self.simd;
        let at = self.direction.label_offset();
        let mut other_row = StateRowMut::new(other_row);
        let mut max_exponent = i32x16::splat(simd, i32::MIN);
        self.step_with(
            previous,
            by_class,
            by_pair,
            current,
            #[inline(always)]
            |p, incoming| {
                let blank = other_row.multiply_blank(simd, p, incoming.to_blank);
                let label = other_row.multiply_label(simd, p + at, incoming.to_label);
                max_exponent = max_exponent.max(blank.e.max(label.e));
            },
        );
        max_exponent.reduce_max()
    }

    /// Converts the weights in a row to f32, relative to 2^`max_exponent`. Returns their sums over
    /// the blanks and over the labels. The weights of the labels replace the mantissas in the row.
    #[inline(always)]
    fn sum_weights(&self, row: &mut [f32], max_exponent: i32) -> [f32; 2] {
        let row = StateRowMut::new(row);
        let mut blank_sum = f32x16::splat(self.simd, 0.0);
        let mut label_sum = blank_sum;
        for p in self.vectors() {
            let at = p + self.direction.label_offset();
            let blank = Scaled::load(self.simd, (&*row.blank.0, &*row.blank.1), p);
            let label = Scaled::load(self.simd, (&*row.label.0, &*row.label.1), at);
            let weight = label.m * power_of_two(label.e - max_exponent);
            weight.store_slice(&mut row.label.0[at..at + LANES]);
            blank_sum = blank
                .m
                .mul_add(power_of_two(blank.e - max_exponent), blank_sum);
            label_sum += weight;
        }
        [blank_sum.reduce_sum(), label_sum.reduce_sum()]
    }

    /// Adds the weights of the labels of each class, in the order of the labels, for all frames of
    /// the block at once.
    #[inline(always)]
    fn add_class_sums(&self, rows: &[f32], class_sums: &mut [[f32; BLOCK]]) {
        let at = self.direction.label_offset();
        let first = (self.pairs.start + at).max(1);
        let end = (self.pairs.end + at).min(self.item.labels.len() + 1);
        let class_indices = &self.item.class_index[first..end];
        let weights: [_; BLOCK] = std::array::from_fn(|j| {
            let floats = rows.len() / BLOCK;
            let row = StateRow::new(&rows[j * floats..(j + 1) * floats]);
            &row.label.0[first..end]
        });
        for (i, index) in class_indices.iter().enumerate() {
            let sum = &mut class_sums[*index as usize];
            for (sum, weights) in sum.iter_mut().zip(weights) {
                *sum += weights[i];
            }
        }
    }
}
