//! The recursion on one row of states, for both directions; twin of `shaders/shared/states.wgsl`.
//!
//! Blanks and labels are arrays of their own, the labels with a 0 at either end, so that a neighbour is a slice that
//! begins one further on. Beta keeps alpha's order here, its neighbours being those on the other side: a vector is
//! loaded forwards, where the mirrored order of the shader would have it turned round.

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

    /// What leads to the blank at place p.
    #[inline(always)]
    pub(super) fn paths_to_blank(&self, direction: Direction, p: usize) -> Scaled {
        let near = p + direction.shift();
        add2(
            Scaled {
                m: self.blank_m[p],
                e: self.blank_e[p],
            },
            Scaled {
                m: self.label_m[near],
                e: self.label_e[near],
            },
        )
    }

    /// What leads to the label at place p.
    #[inline(always)]
    pub(super) fn paths_to_label(&self, direction: Direction, p: usize, item: &Item) -> Scaled {
        let near = p + direction.shift();
        let far = p + 2 * direction.shift();
        add3(
            gated(self.label_m[p + 1], self.label_e[p + 1], item.lasting),
            Scaled {
                m: self.blank_m[near],
                e: self.blank_e[near],
            },
            gated(self.label_m[far], self.label_e[far], item.reached[near]),
        )
    }
}

#[inline(always)]
fn gated(m: f32, e: f32, open: f32) -> Scaled {
    Scaled {
        m,
        e: if open != 0.0 { e } else { SCALED_ZERO.e },
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
    let places = item.places();
    // Lengths that the compiler can see, so that no index is checked in the loops.
    let before = Row {
        blank_m: &before.blank_m[..places + 1],
        blank_e: &before.blank_e[..places + 1],
        label_m: &before.label_m[..places + 2],
        label_e: &before.label_e[..places + 2],
    };
    let (y_m, y_e) = (&y_m[..places], &y_e[..places]);
    let (blank_m, blank_e) = (&mut now.blank_m[..places], &mut now.blank_e[..places]);
    for p in 0..places {
        let value = times(before.paths_to_blank(direction, p), y_blank);
        blank_m[p] = value.m;
        blank_e[p] = value.e;
    }
    let (label_m, label_e) = (&mut now.label_m[1..=places], &mut now.label_e[1..=places]);
    for p in 0..places {
        let y = Scaled {
            m: y_m[p],
            e: y_e[p],
        };
        let value = times(before.paths_to_label(direction, p, item), y);
        label_m[p] = value.m;
        label_e[p] = value.e;
    }
}

/// What leads to each state, times what the other direction kept there: its occupancy, up to a factor of the frame.
#[inline(always)]
pub(super) fn occupy(direction: Direction, item: &Item, before: &Row<'_>, kept: &mut RowMut<'_>) {
    let places = item.places();
    for p in 0..places {
        let into = before.paths_to_blank(direction, p);
        kept.blank_m[p] *= into.m;
        kept.blank_e[p] += into.e;
    }
    for p in 0..places {
        let into = before.paths_to_label(direction, p, item);
        kept.label_m[p + 1] *= into.m;
        kept.label_e[p + 1] += into.e;
    }
}
