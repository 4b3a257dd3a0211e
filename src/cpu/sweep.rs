//! sweep: alpha and beta from the ends of the item to its middle, and on to the other ends; twin of
//! `shaders/sweep.wgsl`.

use super::emit::Emissions;
use super::index::half;
use super::labels::Item;
use super::states::{Direction, Row, RowMut, occupy, row_floats, step};

/// The rows of an item by frame: alpha's in the first half, beta's in the second, until the other direction has made
/// occupancies of them; and beside them each direction's own last two rows.
#[derive(Debug, Default)]
pub(super) struct Lattice {
    kept: Vec<f32>,
    alpha: [Vec<f32>; 2],
    beta: [Vec<f32>; 2],
    places: usize,
}

impl Lattice {
    fn clear(&mut self, item: &Item) {
        self.places = item.places();
        let floats = row_floats(self.places);
        self.kept.resize(item.frames * floats, 0.0);
        for (direction, rows) in [
            (Direction::Alpha, &mut self.alpha),
            (Direction::Beta, &mut self.beta),
        ] {
            for row in rows {
                row.resize(floats, 0.0);
                RowMut::new(row, self.places).begin(direction, item.labels());
            }
        }
    }

    /// Row of frame `t`.
    #[inline(always)]
    pub(super) fn row(&self, t: usize) -> Row<'_> {
        let floats = row_floats(self.places);
        Row::new(&self.kept[t * floats..(t + 1) * floats], self.places)
    }

    /// Alpha before the middle and beta after it, once both are in.
    #[inline(always)]
    pub(super) fn middle(&self) -> (Row<'_>, Row<'_>) {
        (
            Row::new(&self.alpha[0], self.places),
            Row::new(&self.beta[0], self.places),
        )
    }
}

/// From the ends to the middle, every row kept.
#[inline(always)]
pub(super) fn sweep_in(item: &Item, emissions: &Emissions, lattice: &mut Lattice) {
    lattice.clear(item);
    let middle = half(item.frames);
    advance(Direction::Alpha, 0..middle, item, emissions, lattice, false);
    advance(
        Direction::Beta,
        middle..item.frames,
        item,
        emissions,
        lattice,
        false,
    );
}

/// From the middle to the other ends; each row that the other direction kept becomes the occupancies.
#[inline(always)]
pub(super) fn sweep_out(item: &Item, emissions: &Emissions, lattice: &mut Lattice) {
    let middle = half(item.frames);
    advance(
        Direction::Alpha,
        middle..item.frames,
        item,
        emissions,
        lattice,
        true,
    );
    advance(Direction::Beta, 0..middle, item, emissions, lattice, true);
}

/// Takes a direction through `frames` in its order. Its newest row is the first of its two.
#[inline(always)]
fn advance(
    direction: Direction,
    frames: std::ops::Range<usize>,
    item: &Item,
    emissions: &Emissions,
    lattice: &mut Lattice,
    out: bool,
) {
    let places = lattice.places;
    let floats = row_floats(places);
    let count = frames.len();
    let Lattice {
        kept, alpha, beta, ..
    } = lattice;
    let [before, now] = match direction {
        Direction::Alpha => alpha,
        Direction::Beta => beta,
    };
    for j in 0..count {
        let t = match direction {
            Direction::Alpha => frames.start + j,
            Direction::Beta => frames.end - 1 - j,
        };
        let there = &mut kept[t * floats..(t + 1) * floats];
        let from = Row::new(before, places);
        let y = emissions.labels(t);
        let mut to = RowMut::new(now, places);
        step(direction, item, &from, emissions.blank(t), y, &mut to);
        if out {
            occupy(direction, item, &from, &mut RowMut::new(there, places));
        } else {
            there.copy_from_slice(now);
        }
        std::mem::swap(before, now);
    }
}
