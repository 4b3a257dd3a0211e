//! meet: all paths summed where alpha and beta have met, and the loss; twin of `shaders/join.wgsl`.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::check_labels::Item;
use super::index::LANES;
use super::scaled::{LEAST, Scaled, ZERO, exp, exp_below, ln_1_plus, minus_ln};
use super::softmax_stats::Stats;
use super::states::{Direction, Row};
use crate::options::{Impossible, Input, Options, Status};

/// The sum of all paths: what leads to each state of alpha's next frame, times beta there.
#[inline(always)]
pub(super) fn meet<S: Simd>(simd: S, item: &mut Item, alpha: &Row<'_>, beta: &Row<'_>) {
    let mut sum = Scaled::zero(simd);
    for p in (0..item.places()).step_by(LANES) {
        let paths = alpha.paths(simd, Direction::Alpha, item, p);
        let blank = paths.to_blank.by(Scaled::load(simd, beta.blank, p));
        let label = paths
            .to_label
            .by(Scaled::load(simd, beta.label, p + Direction::Alpha.own()));
        let both = blank.normalised().plus(label.normalised());
        sum = sum.plus(both).normalised();
    }
    let sum = sum.fold(
        simd,
        #[inline(always)]
        |a, b| a.plus(b),
    );
    item.paths = (sum.m[0], sum.e[0]);
    if item.paths.1 <= HARDLY {
        item.status = Status::Impossible;
    }
}

/// The loss of an item; `stats` are those of its frames.
#[inline(always)]
pub(super) fn loss<S: Simd>(
    simd: S,
    item: &mut Item,
    options: &Options,
    stats: impl Fn(usize) -> Stats,
) -> f32 {
    if (0..item.frames).any(|t| stats(t).top.is_nan()) {
        item.status = Status::NotFinite;
    }
    if item.status == Status::Ok {
        let found = minus_ln_of_paths(simd, item, options.input, stats);
        if found < LEAST {
            // Not `max`, which may keep a negative 0.
            return if found <= 0.0 && found > -ROUNDING {
                0.0
            } else {
                found
            };
        }
        item.status = Status::Impossible;
    }
    match (item.status, options.impossible) {
        (Status::Impossible, Impossible::Zero) => 0.0,
        (Status::Impossible, _) => f32::INFINITY,
        _ => f32::NAN,
    }
}

/// The loss by the formula.
#[inline(always)]
fn minus_ln_of_paths<S: Simd>(
    simd: S,
    item: &Item,
    input: Input,
    stats: impl Fn(usize) -> Stats,
) -> f32 {
    let mut norm = Norm {
        product: Scaled::new(simd, 1.0, 0),
        rest: f32x16::splat(simd, 0.0),
    };
    for first in (0..item.frames).step_by(LANES) {
        // Lanes past the last frame change nothing.
        let (mut local, mut top, mut excess) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (lane, t) in (first..item.frames).take(LANES).enumerate() {
            local[lane] = item.tops[t];
            top[lane] = stats(t).top;
            excess[lane] = stats(t).excess;
        }
        let frames = [local, top, excess];
        norm.add(simd, input, &frames);
    }
    let share = norm.product.fold(
        simd,
        #[inline(always)]
        |a, b| a.by(b),
    );
    let share = share.by(Scaled::new(simd, item.paths.0, item.paths.1));
    norm.rest.reduce_sum() + minus_ln(share.normalised())[0]
}

/// What the paths are multiplied with for all frames to have their probabilities: `product · exp(-rest)`, a lane for
/// every so many frames. Factors near 1 are added up as logarithms, whose digits a product would lose; the others are
/// multiplied, since a sum of large logarithms would lose digits too.
#[derive(Debug, Clone, Copy)]
struct Norm<S: Simd> {
    product: Scaled<S>,
    rest: f32x16<S>,
}

const NEAR_ONE: f32 = 0.01;

/// An exponent no larger has been cut off at `ZERO`, but for what sums and normalising have added since.
const HARDLY: i32 = ZERO + 4096;

/// A loss below 0 by less is 0 but for rounding; below that, the input was no distribution.
const ROUNDING: f32 = 1e-6;

impl<S: Simd> Norm<S> {
    /// Takes in a frame a lane, whose emissions were relative to `local`.
    #[inline(always)]
    fn add(&mut self, simd: S, input: Input, [local, top, excess]: &[[f32; LANES]; 3]) {
        let local = f32x16::simd_from(simd, *local);
        let top = f32x16::simd_from(simd, *top);
        let excess = f32x16::simd_from(simd, *excess);
        let one = Scaled::new(simd, 1.0, 0);
        let mut share = match input {
            // Log-probs are divided by nothing: what was taken off them comes back.
            Input::LogProbs | Input::LogProbsExact => {
                let near = local.abs().simd_lt(NEAR_ONE);
                self.rest -= near.select(local, f32x16::splat(simd, 0.0));
                self.product = self.product.by(one.or(near, exp(local))).normalised();
                return;
            }
            Input::Logits => exp_below(local, top),
            Input::Probs { .. } => {
                let local = Scaled { m: local, ..one }.normalised();
                let top = Scaled { m: top, ..one }.normalised();
                Scaled {
                    m: local.m / top.m,
                    e: local.e - top.e,
                }
            }
        };
        let near = excess.simd_lt(NEAR_ONE);
        self.rest += near.select(ln_1_plus(excess), f32x16::splat(simd, 0.0));
        share.m = near.select(share.m, share.m / (excess + 1.0));
        self.product = self.product.by(share).normalised();
    }
}
