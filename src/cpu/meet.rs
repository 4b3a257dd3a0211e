//! meet: all paths summed where alpha and beta have met; twin of `shaders/meet.wgsl`.

use super::labels::Item;
use super::scaled::{SCALED_ZERO, Scaled, ZERO, add2, minus_ln, normalised, times};
use super::states::{Direction, Row};
use super::sweep::Lattice;
use crate::options::{Impossible, Status};

/// The loss, and whether there is an alignment.
#[inline(always)]
pub(super) fn meet(item: &Item, lattice: &Lattice, impossible: Impossible) -> (f32, Status) {
    let z = paths(item, lattice);
    if z.e <= 0.9 * ZERO {
        let status = Status::Impossible;
        return (loss_of(status, impossible), status);
    }
    let loss = minus_ln(z);
    // Not `max`, which may keep a negative 0.
    (if loss > 0.0 { loss } else { 0.0 }, Status::Ok)
}

/// The loss of an item without one.
pub(super) fn loss_of(status: Status, impossible: Impossible) -> f32 {
    match (status, impossible) {
        (Status::Impossible, Impossible::Zero) => 0.0,
        (Status::Impossible, _) => f32::INFINITY,
        _ => f32::NAN,
    }
}

/// The sum of all paths.
#[inline(always)]
fn paths(item: &Item, lattice: &Lattice) -> Scaled {
    let (alpha, beta): (Row<'_>, Row<'_>) = lattice.middle();
    let mut sum = SCALED_ZERO;
    for p in 0..=item.labels() {
        let beta_blank = Scaled {
            m: beta.blank_m[p],
            e: beta.blank_e[p],
        };
        let mut here = times(alpha.into_blank(Direction::Alpha, p), beta_blank);
        if p < item.labels() {
            let beta_label = Scaled {
                m: beta.label_m[p + 1],
                e: beta.label_e[p + 1],
            };
            let more = add2(
                here,
                times(alpha.into_label(Direction::Alpha, p, item), beta_label),
            );
            here = normalised(more.m, more.e);
        }
        let total = add2(sum, here);
        sum = normalised(total.m, total.e);
    }
    sum
}
