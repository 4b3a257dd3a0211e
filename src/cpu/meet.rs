//! meet: all paths summed where alpha and beta have met; twin of `shaders/meet.wgsl`.

use super::emit::Emissions;
use super::index::LANES;
use super::labels::Item;
use super::scaled::{
    SCALED_ONE, SCALED_ZERO, Scaled, ZERO, add2, exp_scaled, ln_1_plus, minus_ln, normalised, times,
};
use super::states::{Direction, Row, at, block};
use super::sweep::Lattice;
use crate::options::{Impossible, Input, Options, Status};

/// The loss, and whether there is an alignment.
#[inline(always)]
pub(super) fn meet(
    item: &Item,
    emissions: &Emissions,
    lattice: &Lattice,
    options: &Options,
) -> (f32, Status) {
    let z = paths(item, lattice);
    if z.e <= 0.9 * ZERO {
        let status = Status::Impossible;
        return (loss_of(status, options.impossible), status);
    }
    let norm = emissions.stats.iter().fold(ONE, |norm, stats| {
        both(norm, norm_of(options.input, *stats))
    });
    let share = normalised(z.m / norm.product.m, z.e - norm.product.e);
    let loss = norm.rest + minus_ln(share);
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
    let labels = item.labels();
    let mut sum = SCALED_ZERO;
    for p in 0..=labels {
        let near = alpha.near(Direction::Alpha, p - p % LANES, item);
        let (lane, start) = (p % LANES, p - p % LANES);
        let beta_blank = at(
            (block(beta.blank_m, start), block(beta.blank_e, start)),
            lane,
        );
        let mut here = times(near.paths_to_blank(lane), beta_blank);
        if p < labels {
            let after = start + 1;
            let beta_label = at(
                (block(beta.label_m, after), block(beta.label_e, after)),
                lane,
            );
            let more = add2(here, times(near.paths_to_label(lane), beta_label));
            here = normalised(more.m, more.e);
        }
        let total = add2(sum, here);
        sum = normalised(total.m, total.e);
    }
    sum
}

/// What frames are divided by, all together: `product · exp(rest)`. Factors near 1 are added up as logarithms, whose
/// digits a product would lose; the others are multiplied, since a sum of large logarithms would lose digits too.
#[derive(Debug, Clone, Copy)]
struct Norm {
    product: Scaled,
    rest: f32,
}

const ONE: Norm = Norm {
    product: SCALED_ONE,
    rest: 0.0,
};

const NEAR_ONE: f32 = 0.01;

#[inline(always)]
fn norm_of(input: Input, (top, excess): (f32, f32)) -> Norm {
    let product = match input {
        // Log-probs are divided by nothing: what was taken off them comes back.
        Input::LogProbs | Input::LogProbsExact if top.abs() < NEAR_ONE => {
            return Norm { rest: -top, ..ONE };
        }
        Input::LogProbs | Input::LogProbsExact => {
            let back = exp_scaled(-top, 0.0);
            normalised(back.m, back.e)
        }
        Input::Logits | Input::Probs { .. } if excess < NEAR_ONE => {
            let rest = ln_1_plus(excess);
            return Norm { rest, ..ONE };
        }
        Input::Logits | Input::Probs { .. } => normalised(1.0 + excess, 0.0),
    };
    Norm { product, ..ONE }
}

#[inline(always)]
fn both(a: Norm, b: Norm) -> Norm {
    Norm {
        product: times(a.product, b.product),
        rest: a.rest + b.rest,
    }
}
