//! The recursion on one row of states, for both directions; twin of `shaders/shared/states.wgsl`.
//!
//! Blanks and labels are arrays of their own. The label of place p stands at p + 1, so that a neighbour is a slice that
//! begins one further on or back. A vector of alpha holds the blanks p and the labels p, of beta the blanks p and the
//! labels p − 1: so in both a label is reached from the blanks of its own lanes.

use std::ops::Range;

use fearless_simd::{Simd, f32x16, i32x16, prelude::*};

use super::check_labels::Item;
use super::index::LANES;
use super::scaled::{Scaled, ZERO};

/// The bits of the exponent of 0.
const NO_PATH: f32 = f32::from_bits(ZERO.cast_unsigned());

/// Which way a sweep goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the first frame on.
    Alpha,
    /// From the last frame back.
    Beta,
}

impl Direction {
    #[inline(always)]
    pub(super) fn other(self) -> Self {
        match self {
            Self::Alpha => Self::Beta,
            Self::Beta => Self::Alpha,
        }
    }

    /// Where the labels of the first vector begin.
    #[inline(always)]
    pub(super) fn own(self) -> usize {
        match self {
            Self::Alpha => 1,
            Self::Beta => 0,
        }
    }

    /// Where the labels begin that lead to the first vector.
    #[inline(always)]
    fn near(self) -> usize {
        1 - self.own()
    }
}

/// The floats of each of a row's four arrays.
#[inline(always)]
pub(super) fn room(places: usize) -> usize {
    places + LANES
}

/// The floats of a row.
#[inline(always)]
pub(super) fn row_floats(places: usize) -> usize {
    4 * room(places)
}

/// A row of states, read: mantissas and the bits of exponents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) blank: (&'a [f32], &'a [f32]),
    pub(super) label: (&'a [f32], &'a [f32]),
}

/// A row of states, written.
#[derive(Debug)]
pub(super) struct RowMut<'a> {
    pub(super) blank: (&'a mut [f32], &'a mut [f32]),
    pub(super) label: (&'a mut [f32], &'a mut [f32]),
}

impl<'a> Row<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a [f32]) -> Self {
        let (blank, label) = floats.split_at(floats.len() / 2);
        Self {
            blank: blank.split_at(blank.len() / 2),
            label: label.split_at(label.len() / 2),
        }
    }

    /// What leads to the vectors at `p`.
    #[inline(always)]
    pub(super) fn paths<S: Simd>(
        &self,
        simd: S,
        direction: Direction,
        item: &Item,
        p: usize,
    ) -> Paths<S> {
        let blank = Scaled::load(simd, self.blank, p);
        let mut label = Scaled::load(simd, self.label, p + direction.own());
        let near = Scaled::load(simd, self.label, p + direction.near());
        let reached = f32x16::from_slice(simd, &item.reached[p..p + LANES]).simd_gt(0.0);
        let to_blank = blank.plus(near);
        if !item.lasting {
            label.e = i32x16::splat(simd, ZERO);
        }
        Paths {
            to_blank,
            to_label: label.plus(to_blank.or(reached, blank)),
        }
    }
}

/// What leads to a vector of blanks and one of labels; m is in [1, 6).
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths<S: Simd> {
    pub(super) to_blank: Scaled<S>,
    pub(super) to_label: Scaled<S>,
}

impl<'a> RowMut<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a mut [f32]) -> Self {
        let (blank, label) = floats.split_at_mut(floats.len() / 2);
        let (blanks, labels) = (blank.len() / 2, label.len() / 2);
        Self {
            blank: blank.split_at_mut(blanks),
            label: label.split_at_mut(labels),
        }
    }

    /// Before the first frame all of the probability waits before the first blank; beta's, after the last.
    pub(super) fn begin(&mut self, direction: Direction, labels: usize) {
        for m in [&mut *self.blank.0, &mut *self.label.0] {
            m.fill(1.0);
        }
        for e in [&mut *self.blank.1, &mut *self.label.1] {
            e.fill(NO_PATH);
        }
        let first = match direction {
            Direction::Alpha => 0,
            Direction::Beta => labels,
        };
        self.blank.1[first] = f32::from_bits(0);
    }

    /// The paths of the vectors at `p` times the emissions of a frame: the blank's, and `y` by place.
    #[inline(always)]
    pub(super) fn emit<S: Simd>(
        &mut self,
        simd: S,
        direction: Direction,
        p: usize,
        paths: &Paths<S>,
        y_blank: Scaled<S>,
        y: &[f32],
    ) {
        let own = p + direction.own();
        let y = Scaled::load_pairs(simd, y, own);
        let blank = paths.to_blank.by(y_blank).normalised();
        let label = paths.to_label.by(y).normalised();
        blank.store((&mut *self.blank.0, &mut *self.blank.1), p);
        label.store((&mut *self.label.0, &mut *self.label.1), own);
    }

    /// Puts 0 beside the vectors of labels at `places`, where a neighbour is looked for.
    #[inline(always)]
    pub(super) fn close(&mut self, direction: Direction, places: &Range<usize>) {
        let beside = match direction {
            Direction::Alpha => places.start,
            Direction::Beta => places.end,
        };
        self.label.0[beside] = 1.0;
        self.label.1[beside] = NO_PATH;
    }

    /// The vector of blanks at `p` times `factor`, which takes its place.
    #[inline(always)]
    pub(super) fn multiply_blank<S: Simd>(
        &mut self,
        simd: S,
        p: usize,
        factor: Scaled<S>,
    ) -> Scaled<S> {
        multiply(simd, (&mut *self.blank.0, &mut *self.blank.1), p, factor)
    }

    /// The same of labels.
    #[inline(always)]
    pub(super) fn multiply_label<S: Simd>(
        &mut self,
        simd: S,
        p: usize,
        factor: Scaled<S>,
    ) -> Scaled<S> {
        multiply(simd, (&mut *self.label.0, &mut *self.label.1), p, factor)
    }
}

#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    (m, e): (&mut [f32], &mut [f32]),
    p: usize,
    factor: Scaled<S>,
) -> Scaled<S> {
    let product = Scaled::load(simd, (&*m, &*e), p).by(factor);
    product.store((m, e), p);
    product
}
