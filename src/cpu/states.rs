//! One row of lattice states, and the recursion from one row to the next, for both directions.
//!
//! The states are numbered in pairs: pair p is the blank before label p, and label p. Blanks and
//! labels are separate arrays, in which label p has index p + 1, so that the neighbours of a vector
//! are a slice that starts one element earlier or later. A vector of alpha consists of the blanks p
//! and the labels p, and a vector of beta of the blanks p and the labels p − 1. In both directions,
//! the transition from a blank to a label thus stays in the same lane.

use std::ops::Range;

use fearless_simd::{Simd, f32x16, i32x16, prelude::*};

use super::index::LANES;
use super::item::ItemData;
use super::scaled::{ONE_STATE, Scaled, ZERO_STATE};

/// The exponents of probabilities of 0 and 1. Rows of states store the bits of exponents as `f32`.
const NO_PATH: f32 = f32::from_bits(ZERO_STATE.cast_unsigned());
const EMPTY_PATH: f32 = f32::from_bits(ONE_STATE.cast_unsigned());

/// The direction of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Forward, from the first frame.
    Alpha,
    /// Backward, from the last frame.
    Beta,
}

impl Direction {
    #[inline(always)]
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Alpha => Self::Beta,
            Self::Beta => Self::Alpha,
        }
    }

    /// Returns the index of the labels that belong to the first vector of blanks.
    #[inline(always)]
    pub(super) fn label_offset(self) -> usize {
        match self {
            Self::Alpha => 1,
            Self::Beta => 0,
        }
    }

    /// Returns the index of the labels from which transitions lead to the first vector of blanks.
    #[inline(always)]
    fn neighbour_offset(self) -> usize {
        1 - self.label_offset()
    }
}

/// Returns the length in floats of each of the four arrays of a row of `pairs` state pairs.
#[inline(always)]
pub(super) fn array_floats(pairs: usize) -> usize {
    pairs + LANES
}

/// Returns the length in floats of a row of `pairs` state pairs.
#[inline(always)]
pub(super) fn row_floats(pairs: usize) -> usize {
    4 * array_floats(pairs)
}

/// A row of states: for the blanks and the labels, the mantissas and the bits of the exponents.
#[derive(Debug, Clone, Copy)]
pub(super) struct StateRow<'a> {
    pub(super) blank: (&'a [f32], &'a [f32]),
    pub(super) label: (&'a [f32], &'a [f32]),
}

/// A mutable row of states.
#[derive(Debug)]
pub(super) struct StateRowMut<'a> {
    pub(super) blank: (&'a mut [f32], &'a mut [f32]),
    pub(super) label: (&'a mut [f32], &'a mut [f32]),
}

impl<'a> StateRow<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a [f32]) -> Self {
        let (blank, label) = floats.split_at(floats.len() / 2);
        Self {
            blank: blank.split_at(blank.len() / 2),
            label: label.split_at(label.len() / 2),
        }
    }

    /// Sums the paths that lead to the vector of blanks and the vector of labels at `p` in the next
    /// row.
    #[inline(always)]
    pub(super) fn incoming<S: Simd>(
        &self,
        simd: S,
        direction: Direction,
        item: &ItemData,
        p: usize,
    ) -> Incoming<S> {
        let blank = Scaled::load(simd, self.blank, p);
        let mut label = Scaled::load(simd, self.label, p + direction.label_offset());
        let neighbour = Scaled::load(simd, self.label, p + direction.neighbour_offset());
        let skip_allowed = f32x16::from_slice(simd, &item.skip_allowed[p..p + LANES]).simd_gt(0.0);
        let to_blank = blank.plus(neighbour);
        if !item.self_loops {
            label.e = i32x16::splat(simd, ZERO_STATE);
        }
        Incoming {
            to_blank,
            to_label: label.plus(to_blank.select_or(skip_allowed, blank)),
        }
    }
}

/// The sums of the paths that lead to a vector of blanks and a vector of labels, before the
/// emissions; the mantissas are in [1, 6).
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<S: Simd> {
    pub(super) to_blank: Scaled<S>,
    pub(super) to_label: Scaled<S>,
}

impl<'a> StateRowMut<'a> {
    #[inline(always)]
    pub(super) fn new(floats: &'a mut [f32]) -> Self {
        let (blank, label) = floats.split_at_mut(floats.len() / 2);
        let (blanks, labels) = (blank.len() / 2, label.len() / 2);
        Self {
            blank: blank.split_at_mut(blanks),
            label: label.split_at_mut(labels),
        }
    }

    /// Sets the row before the first step: probability 1 in the first blank (for beta, in the last
    /// one), 0 elsewhere.
    pub(super) fn set_initial(&mut self, direction: Direction, labels: usize) {
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
        self.blank.1[first] = EMPTY_PATH;
    }

    /// Writes the vectors at `p`: the incoming paths times the emissions of the frame, which are
    /// `y_blank` for the blanks and `y` for the labels.
    #[inline(always)]
    pub(super) fn apply_emissions<S: Simd>(
        &mut self,
        simd: S,
        direction: Direction,
        p: usize,
        incoming: &Incoming<S>,
        y_blank: Scaled<S>,
        y: &[f32],
    ) {
        let at = p + direction.label_offset();
        let y = Scaled::load_pairs(simd, y, at);
        let blank = incoming.to_blank.times_emission(y_blank).normalised();
        let label = incoming.to_label.times_emission(y).normalised();
        blank.store((&mut *self.blank.0, &mut *self.blank.1), p);
        label.store((&mut *self.label.0, &mut *self.label.1), at);
    }

    /// Sets the label before the first vector of `pairs` (for beta, after the last one) to 0,
    /// because the next step reads it as a neighbour.
    #[inline(always)]
    pub(super) fn clear_boundary(&mut self, direction: Direction, pairs: &Range<usize>) {
        let boundary = match direction {
            Direction::Alpha => pairs.start,
            Direction::Beta => pairs.end,
        };
        self.label.0[boundary] = 1.0;
        self.label.1[boundary] = NO_PATH;
    }

    /// Multiplies the vector of blanks at `p` by `factor`, in place, and returns the product.
    #[inline(always)]
    pub(super) fn multiply_blank<S: Simd>(
        &mut self,
        simd: S,
        p: usize,
        factor: Scaled<S>,
    ) -> Scaled<S> {
        multiply(simd, (&mut *self.blank.0, &mut *self.blank.1), p, factor)
    }

    /// Multiplies the vector of labels at `p` by `factor`, in place, and returns the product.
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
    let product = Scaled::load(simd, (&*m, &*e), p).times_state(factor);
    product.store((m, e), p);
    product
}
