//! sweep: alpha and beta from the ends of the item to its middle, and on to the other ends; twin of
//! `shaders/sweep.wgsl`.
//!
//! On the way in a direction keeps the first row of each block of frames. On the way out the other one comes by, makes
//! the rows between them again, which the cache holds, and turns each into the occupancies of its frame.

use std::iter::StepBy;
use std::ops::Range;

use fearless_simd::{Simd, f32x16, i32x16, prelude::*};

use super::check_labels::Item;
use super::emissions::Emissions;
use super::index::{BLOCK, LANES, bytes, frame, half, lines, lines_of, padded};
use super::scaled::{Scaled, power};
use super::states::{Direction, Paths, Row, RowMut, room, row_floats};

/// The first row of each block that a direction came through on its way in.
pub(super) type Kept = Vec<f32>;

/// What a direction needs of its own, so that the two can run on two threads.
#[derive(Debug)]
pub(super) struct Arm {
    direction: Direction,
    /// The newest row.
    before: Vec<f32>,
    /// The one that is being made.
    now: Vec<f32>,
    /// A block of the other direction's rows.
    block: Vec<f32>,
    /// The emissions of a block's frames: pairs by place, as the labels stand in a row.
    emissions: Vec<f32>,
    /// The occupancies of a block's frames by slot, not normalised.
    sums: Vec<[f32; BLOCK]>,
}

impl Arm {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            before: Vec::new(),
            now: Vec::new(),
            block: Vec::new(),
            emissions: Vec::new(),
            sums: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let floats = [&self.before, &self.now, &self.block, &self.emissions];
        floats.map(bytes).iter().sum::<usize>() + bytes(&self.sums)
    }

    /// The row that was made last.
    #[inline(always)]
    pub(super) fn newest_of(&self, item: &Item) -> Row<'_> {
        Row::new(&lines_of(&self.before)[..row_floats(item.places())])
    }

    /// From the end to the middle.
    #[inline(always)]
    pub(super) fn sweep_in<S: Simd>(
        &mut self,
        simd: S,
        item: &Item,
        emissions: &Emissions,
        kept: &mut Kept,
    ) {
        let direction = self.direction;
        let floats = row_floats(item.places());
        let steps = half(direction, item.frames);
        let kept = lines(kept, steps.div_ceil(BLOCK) * floats);
        let mut before = lines(&mut self.before, floats);
        let mut now = lines(&mut self.now, floats);
        let by_place = lines(&mut self.emissions, 2 * room(item.places()));
        RowMut::new(before).begin(direction, item.labels.len());
        RowMut::new(now).begin(direction, item.labels.len());
        for first in (0..steps).step_by(BLOCK) {
            let block = Block::new(simd, direction, item, first);
            for k in first..first + block.count {
                let by_slot = emissions.frame(frame(direction, item.frames, k), item);
                block.spread(by_slot, by_place);
                block.step(before, by_slot, by_place, now);
                if k == first {
                    kept[k / BLOCK * floats..][..floats].copy_from_slice(now);
                }
                std::mem::swap(&mut before, &mut now);
            }
        }
        if steps % 2 == 1 {
            std::mem::swap(&mut self.before, &mut self.now);
        }
    }

    /// From the middle to the other end, along the rows that the other direction kept, writing the occupancies of the
    /// frames there.
    #[inline(always)]
    pub(super) fn sweep_out<S: Simd>(
        &mut self,
        simd: S,
        item: &Item,
        emissions: &Emissions,
        kept: &Kept,
        occupancies: &mut [f32],
    ) {
        let (direction, other) = (self.direction, self.direction.other());
        let (floats, y_floats) = (row_floats(item.places()), 2 * room(item.places()));
        let classes = item.classes.len();
        let steps = half(other, item.frames);
        let first_frame = match direction {
            Direction::Alpha => item.frames - steps,
            Direction::Beta => 0,
        };
        let kept = lines_of(kept);
        let mut before = lines(&mut self.before, floats);
        let mut now = lines(&mut self.now, floats);
        let rows = lines(&mut self.block, BLOCK * floats);
        let by_place = lines(&mut self.emissions, BLOCK * y_floats);
        for first in (0..steps).step_by(BLOCK).rev() {
            let again = Block::new(simd, other, item, first);
            let block = Block {
                direction,
                ..again.clone()
            };
            let frame = |j: usize| frame(other, item.frames, first + j);
            rows[..floats].copy_from_slice(&kept[first / BLOCK * floats..][..floats]);
            for j in 0..block.count {
                let by_slot = emissions.frame(frame(j), item);
                let by_place = &mut by_place[j * y_floats..][..y_floats];
                block.spread(by_slot, by_place);
                if j > 0 {
                    let (done, rest) = rows.split_at_mut(j * floats);
                    let last = &done[(j - 1) * floats..];
                    again.step(last, by_slot, by_place, &mut rest[..floats]);
                }
            }
            self.sums.clear();
            self.sums.resize(classes, [0.0; BLOCK]);
            let mut inverses = [0.0; BLOCK];
            for j in (0..block.count).rev() {
                let by_slot = emissions.frame(frame(j), item);
                let by_place = &by_place[j * y_floats..][..y_floats];
                let row = &mut rows[j * floats..][..floats];
                let top = block.occupy(before, by_slot, by_place, now, row);
                let [of_blank, of_labels] = block.weigh(row, top);
                self.sums[0][j] = of_blank;
                inverses[j] = 1.0 / (of_blank + of_labels);
                std::mem::swap(&mut before, &mut now);
            }
            block.add_up(rows, &mut self.sums);
            for (j, inverse) in inverses.iter().enumerate().take(block.count) {
                let start = (frame(j) - first_frame) * classes;
                let row = &mut occupancies[start..start + classes];
                for (out, sums) in row.iter_mut().zip(&self.sums) {
                    *out = sums[j] * inverse;
                }
            }
        }
    }
}

/// Some frames, and a direction that comes through them.
#[derive(Debug, Clone)]
struct Block<'a, S: Simd> {
    simd: S,
    direction: Direction,
    item: &'a Item,
    /// Frames.
    count: usize,
    /// The places that an alignment can be at in these frames, in whole vectors: it has had too few frames for those
    /// above, and would have too few left from those below. There a row holds anything but NaN, and 0 where the other
    /// direction's is not.
    places: Range<usize>,
}

impl<'a, S: Simd> Block<'a, S> {
    /// The block that begins at step `first` of `direction`.
    #[inline(always)]
    fn new(simd: S, direction: Direction, item: &'a Item, first: usize) -> Self {
        let labels = item.labels.len();
        let count = BLOCK.min(half(direction, item.frames) - first);
        let ends = [first, first + count - 1].map(|k| frame(direction, item.frames, k));
        let (first, last) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let lowest = (first + labels).saturating_sub(item.frames);
        // Beta's vector of labels is one behind that of blanks.
        let highest = (last + 1).min(labels);
        Self {
            simd,
            direction,
            item,
            count,
            places: lowest / LANES * LANES..padded(highest + 1),
        }
    }

    #[inline(always)]
    fn vectors(&self) -> StepBy<Range<usize>> {
        self.places.clone().step_by(LANES)
    }

    /// The emissions of a frame, pairs by slot, as pairs by place.
    #[inline(always)]
    fn spread(&self, by_slot: &[f32], by_place: &mut [f32]) {
        let labels = self.places.start..self.places.end + 1;
        let (by_slot, _) = by_slot.as_chunks::<2>();
        let (by_place, _) = by_place.as_chunks_mut::<2>();
        let slots = &self.item.slots[labels.clone()];
        for (out, slot) in by_place[labels].iter_mut().zip(slots) {
            *out = by_slot[*slot as usize];
        }
    }

    /// From the row `before` and the emissions of a frame to the row `now`.
    #[inline(always)]
    fn step(&self, before: &[f32], by_slot: &[f32], by_place: &[f32], now: &mut [f32]) {
        self.step_seen(
            before,
            by_slot,
            by_place,
            now,
            #[inline(always)]
            |_, _| (),
        );
    }

    /// A step of which `visit` sees what leads to each vector.
    #[inline(always)]
    fn step_seen(
        &self,
        before: &[f32],
        by_slot: &[f32],
        by_place: &[f32],
        now: &mut [f32],
        mut visit: impl FnMut(usize, &Paths<S>),
    ) {
        let (simd, direction) = (self.simd, self.direction);
        let before = Row::new(before);
        let mut now = RowMut::new(now);
        let y_blank = Scaled::new(simd, by_slot[0], by_slot[1].to_bits().cast_signed());
        for p in self.vectors() {
            let paths = before.paths(simd, direction, self.item, p);
            visit(p, &paths);
            now.emit(simd, direction, p, &paths, y_blank, by_place);
        }
        now.close(direction, &self.places);
    }

    /// A step that also makes occupancies, up to a factor of the frame, of the row that the other direction kept: what
    /// leads to each state times what was there. The largest exponent among them.
    #[inline(always)]
    fn occupy(
        &self,
        before: &[f32],
        by_slot: &[f32],
        by_place: &[f32],
        now: &mut [f32],
        kept: &mut [f32],
    ) -> i32 {
        let simd = self.simd;
        let own = self.direction.own();
        let mut kept = RowMut::new(kept);
        let mut top = i32x16::splat(simd, i32::MIN);
        self.step_seen(
            before,
            by_slot,
            by_place,
            now,
            #[inline(always)]
            |p, paths| {
                let blank = kept.multiply_blank(simd, p, paths.to_blank);
                let label = kept.multiply_label(simd, p + own, paths.to_label);
                top = top.max(blank.e.max(label.e));
            },
        );
        top.reduce_max()
    }

    /// The occupancies in a row as plain numbers: their sums over the blanks and over the labels, of which each is left
    /// where its mantissa was.
    #[inline(always)]
    fn weigh(&self, row: &mut [f32], top: i32) -> [f32; 2] {
        let row = RowMut::new(row);
        let mut of_blank = f32x16::splat(self.simd, 0.0);
        let mut of_labels = of_blank;
        for p in self.vectors() {
            let own = p + self.direction.own();
            let blank = Scaled::load(self.simd, (&*row.blank.0, &*row.blank.1), p);
            let label = Scaled::load(self.simd, (&*row.label.0, &*row.label.1), own);
            let weight = label.m * power(label.e - top);
            weight.store_slice(&mut row.label.0[own..own + LANES]);
            of_blank = blank.m.mul_add(power(blank.e - top), of_blank);
            of_labels += weight;
        }
        [of_blank.reduce_sum(), of_labels.reduce_sum()]
    }

    /// Adds the weights of each slot's labels, in their order, for all frames of the block at once.
    #[inline(always)]
    fn add_up(&self, rows: &[f32], sums: &mut [[f32; BLOCK]]) {
        let own = self.direction.own();
        let first = (self.places.start + own).max(1);
        let end = (self.places.end + own).min(self.item.labels.len() + 1);
        let slots = &self.item.slots[first..end];
        let weights: [_; BLOCK] = std::array::from_fn(|j| {
            let floats = rows.len() / BLOCK;
            let row = Row::new(&rows[j * floats..(j + 1) * floats]);
            &row.label.0[first..end]
        });
        for (i, slot) in slots.iter().enumerate() {
            let sum = &mut sums[*slot as usize];
            for (sum, weights) in sum.iter_mut().zip(weights) {
                *sum += weights[i];
            }
        }
    }
}
