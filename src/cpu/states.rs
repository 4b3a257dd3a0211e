//! The recursion on one row of states, for both directions; twin of `shaders/shared/states.wgsl`.
//!
//! Blanks and labels are arrays of their own, the labels with a 0 at either end, so that a neighbour is a slice that
//! begins one further on. Beta keeps alpha's order here, its neighbours being those on the other side: a vector is
//! loaded forwards, where the mirrored order of the shader would have it turned round.

use super::index::LANES;
use super::labels::Item;
use super::scaled::{SCALED_ZERO, Scaled, add2, add3, times};

/// Which way a sweep goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the first frame on.
    Alpha,
    /// From the last frame back.
    Beta,
}

impl Direction {
    /// How far on the neighbour stands that leads to a place.
    #[inline(always)]
    fn shift(self) -> usize {
        match self {
            Self::Alpha => 0,
            Self::Beta => 1,
        }
    }
}

/// The floats of a row: mantissas and exponents of `places + 1` blanks and `places + 2` labels.
#[inline(always)]
pub(super) fn row_floats(places: usize) -> usize {
    2 * (places + 1) + 2 * (places + 2)
}

/// A row of states, read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) blank_m: &'a [f32],
    pub(super) blank_e: &'a [f32],
    /// The label of place p stands at p + 1.
    pub(super) label_m: &'a [f32],
    pub(super) label_e: &'a [f32],
}

/// A row of states, written.
#[derive(Debug)]
pub(super) struct RowMut<'a> {
    pub(super) blank_m: &'a mut [f32],
    pub(super) blank_e: &'a mut [f32],
    pub(super) label_m: &'a mut [f32],
    pub(super) label_e: &'a mut [f32],
}

impl<'a> Row<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a [f32], places: usize) -> Self {
        let (blanks, labels) = floats.split_at(2 * (places + 1));
        let (blank_m, blank_e) = blanks.split_at(places + 1);
        let (label_m, label_e) = labels.split_at(places + 2);
        Self {
            blank_m,
            blank_e,
            label_m,
            label_e,
        }
    }

    /// The states that lead to the places `p..p + LANES`.
    #[inline(always)]
    pub(super) fn near(&self, direction: Direction, p: usize, item: &'a Item) -> Near<'a> {
        let near = p + direction.shift();
        let far = p + 2 * direction.shift();
        Near {
            blank: (block(self.blank_m, p), block(self.blank_e, p)),
            label: (block(self.label_m, p + 1), block(self.label_e, p + 1)),
            near_blank: (block(self.blank_m, near), block(self.blank_e, near)),
            near_label: (block(self.label_m, near), block(self.label_e, near)),
            far_label: (block(self.label_m, far), block(self.label_e, far)),
            reached: block(&item.reached, near),
            lasting: item.lasting,
        }
    }
}

/// One vector of a row. Loops over it have a length that the compiler knows, and write to arrays that nothing else
/// points to: so they become vector instructions.
pub(super) type Block = [f32; LANES];

/// What may lead to a vector of places, mantissas and exponents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'a> {
    blank: (&'a Block, &'a Block),
    label: (&'a Block, &'a Block),
    near_blank: (&'a Block, &'a Block),
    near_label: (&'a Block, &'a Block),
    far_label: (&'a Block, &'a Block),
    reached: &'a Block,
    lasting: f32,
}

impl Near<'_> {
    /// What leads to the blank at lane i.
    #[inline(always)]
    pub(super) fn paths_to_blank(&self, i: usize) -> Scaled {
        add2(at(self.blank, i), at(self.near_label, i))
    }

    /// What leads to the label at lane i.
    #[inline(always)]
    pub(super) fn paths_to_label(&self, i: usize) -> Scaled {
        add3(
            gated(at(self.label, i), self.lasting),
            at(self.near_blank, i),
            gated(at(self.far_label, i), self.reached[i]),
        )
    }
}

/// The scaled float at lane i of a vector's mantissas and exponents.
#[inline(always)]
pub(super) fn at((m, e): (&Block, &Block), i: usize) -> Scaled {
    Scaled { m: m[i], e: e[i] }
}

/// The vector that begins at `p`; rows are padded so that there is one.
#[inline(always)]
pub(super) fn block(row: &[f32], p: usize) -> &Block {
    const ZEROS: Block = [0.0; LANES];
    row[p..].first_chunk().unwrap_or(&ZEROS)
}

#[inline(always)]
fn gated(value: Scaled, open: f32) -> Scaled {
    Scaled {
        e: if open != 0.0 { value.e } else { SCALED_ZERO.e },
        ..value
    }
}

impl<'a> RowMut<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a mut [f32], places: usize) -> Self {
        let (blanks, labels) = floats.split_at_mut(2 * (places + 1));
        let (blank_m, blank_e) = blanks.split_at_mut(places + 1);
        let (label_m, label_e) = labels.split_at_mut(places + 2);
        Self {
            blank_m,
            blank_e,
            label_m,
            label_e,
        }
    }

    /// Before the first frame all of the probability waits before the first blank; beta's, after the last.
    #[inline(always)]
    pub(super) fn begin(&mut self, direction: Direction, labels: usize) {
        for m in [&mut *self.blank_m, &mut *self.label_m] {
            m.fill(SCALED_ZERO.m);
        }
        for e in [&mut *self.blank_e, &mut *self.label_e] {
            e.fill(SCALED_ZERO.e);
        }
        self.blank_e[labels * direction.shift()] = 0.0;
    }
}

/// One step of a direction: from the row `before` and the emissions of a frame to the row `now`.
#[inline(always)]
pub(super) fn step(
    direction: Direction,
    item: &Item,
    before: &Row<'_>,
    y_blank: Scaled,
    (y_m, y_e): (&[f32], &[f32]),
    now: &mut RowMut<'_>,
) {
    for p in (0..item.places()).step_by(LANES) {
        let near = before.near(direction, p, item);
        let y = (block(y_m, p), block(y_e, p));
        let (blank_m, blank_e) = lanes(|i| times(near.paths_to_blank(i), y_blank));
        let (label_m, label_e) = lanes(|i| times(near.paths_to_label(i), at(y, i)));
        now.blank_m[p..p + LANES].copy_from_slice(&blank_m);
        now.blank_e[p..p + LANES].copy_from_slice(&blank_e);
        now.label_m[p + 1..=p + LANES].copy_from_slice(&label_m);
        now.label_e[p + 1..=p + LANES].copy_from_slice(&label_e);
    }
}

/// What leads to each state, times what the other direction kept there: its occupancy, up to a factor of the frame.
#[inline(always)]
pub(super) fn occupy(direction: Direction, item: &Item, before: &Row<'_>, kept: &mut RowMut<'_>) {
    for p in (0..item.places()).step_by(LANES) {
        let near = before.near(direction, p, item);
        multiply(kept.blank_m, kept.blank_e, p, |i| near.paths_to_blank(i));
        multiply(kept.label_m, kept.label_e, p + 1, |i| {
            near.paths_to_label(i)
        });
    }
}

#[inline(always)]
fn multiply(m: &mut [f32], e: &mut [f32], p: usize, factor: impl Fn(usize) -> Scaled) {
    let (factor_m, factor_e) = lanes(factor);
    for (m, factor) in m[p..p + LANES].iter_mut().zip(&factor_m) {
        *m *= factor;
    }
    for (e, factor) in e[p..p + LANES].iter_mut().zip(&factor_e) {
        *e += factor;
    }
}

/// A vector of scaled floats.
#[inline(always)]
fn lanes(value: impl Fn(usize) -> Scaled) -> (Block, Block) {
    let (mut m, mut e) = ([0.0; LANES], [0.0; LANES]);
    for i in 0..LANES {
        let v = value(i);
        m[i] = v.m;
        e[i] = v.e;
    }
    (m, e)
}
