//! The join of alpha and beta at the middle of an item, which gives its likelihood, and the loss.

use fearless_simd::{Simd, f32x16, i32x16, prelude::*};

use super::index::LANES;
use super::item::ItemData;
use super::scaled::{
    MAX_NATS, ONE_STATE, Scaled, ZERO_STATE, exp, exp_difference, ln_1_plus, neg_ln,
};
use super::softmax_stats::RowStats;
use super::states::{Direction, StateRow};
use crate::options::{Impossible, Input, Options, Status};

/// Sums all paths of an item into its `likelihood`: the transitions from alpha's last row into the
/// next frame, times beta's row of that frame. If the sum is 0, sets the status to `Impossible`.
#[inline(always)]
pub(super) fn join<S: Simd>(
    simd: S,
    item: &mut ItemData,
    alpha: &StateRow<'_>,
    beta: &StateRow<'_>,
) {
    let mut sum = Scaled::new(simd, 1.0, 0);
    for p in (0..item.pairs()).step_by(LANES) {
        let incoming = alpha.incoming(simd, Direction::Alpha, item, p);
        let blank = incoming
            .to_blank
            .times_state(Scaled::load(simd, beta.blank, p));
        let label = incoming.to_label.times_state(Scaled::load(
            simd,
            beta.label,
            p + Direction::Alpha.label_offset(),
        ));
        let both = blank.normalised().plus(label.normalised());
        sum = sum.plus(both).normalised();
    }
    let sum = sum.fold(
        simd,
        #[inline(always)]
        |a, b| a.plus(b),
    );
    item.likelihood = (sum.m[0], sum.e[0] - 2 * ONE_STATE);
    if sum.e[0] <= ZERO_THRESHOLD {
        item.status = Status::Impossible;
    }
}

/// Returns the loss of an item, and sets its final status. `stats(t)` are the statistics of frame
/// `t`.
#[inline(always)]
pub(super) fn loss<S: Simd>(
    simd: S,
    item: &mut ItemData,
    options: &Options,
    stats: impl Fn(usize) -> RowStats,
) -> f32 {
    if (0..item.frames).any(|t| stats(t).row_max.is_nan()) {
        item.status = Status::NotFinite;
    }
    if item.status == Status::Ok {
        let loss = neg_log_likelihood(simd, item, options.input, stats);
        if loss < MAX_NATS {
            // Not `loss.max(0.0)`, which may return −0.0.
            return if loss <= 0.0 && loss > -LOSS_ROUNDING {
                0.0
            } else {
                loss
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

/// Returns −ln of the item's probability: of its `likelihood` times the factors of all frames.
#[inline(always)]
fn neg_log_likelihood<S: Simd>(
    simd: S,
    item: &ItemData,
    input: Input,
    stats: impl Fn(usize) -> RowStats,
) -> f32 {
    let mut norm = Normaliser {
        product: Scaled::new(simd, 1.0, 0),
        neg_log: f32x16::splat(simd, 0.0),
    };
    for first in (0..item.frames).step_by(LANES) {
        // In lanes past the last frame, zeros leave the normaliser unchanged.
        let (mut frame_max, mut row_max, mut sum_exp_m1) =
            ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (lane, t) in (first..item.frames).take(LANES).enumerate() {
            frame_max[lane] = item.frame_max[t];
            row_max[lane] = stats(t).row_max;
            sum_exp_m1[lane] = stats(t).sum_exp_m1;
        }
        let frames = [frame_max, row_max, sum_exp_m1];
        norm.add(simd, input, &frames);
    }
    let factor = norm.product.fold(
        simd,
        #[inline(always)]
        |a, b| multiply(a, b),
    );
    let likelihood = Scaled::new(simd, item.likelihood.0, item.likelihood.1);
    let factor = multiply(factor, likelihood);
    norm.neg_log.reduce_sum() + neg_ln(factor.normalised())[0]
}

/// The factor `product · exp(-neg_log)` that turns an item's `likelihood`, which is relative to
/// `frame_max`, into a probability. Each lane has the factors of every 16th frame. Factors near 1
/// are summed as logarithms, because their product would lose digits; the others are multiplied,
/// because a sum of large logarithms would lose digits too.
#[derive(Debug, Clone, Copy)]
struct Normaliser<S: Simd> {
    product: Scaled<S>,
    neg_log: f32x16<S>,
}

/// A factor exp(x) or 1 + x is near 1 if |x| is below this.
const NEAR_ONE: f32 = 0.01;

/// A sum over paths with an exponent of at most this counts as 0. It is that of a state of
/// probability 1 and of a state of 0, and 2^24 for the growth of sums over paths.
const ZERO_THRESHOLD: i32 = ONE_STATE + ZERO_STATE + (1 << 24);

/// A factor or a likelihood with an exponent of at most this makes an item impossible: it is a
/// probability of less than `exp(-MAX_NATS)`.
const MIN_EXPONENT: i32 = -3 * (1 << 29);

/// The difference between `MIN_EXPONENT` and an exponent above this would overflow, so it is
/// computed from this.
const MAX_EXPONENT: i32 = 1 << 29;

/// Returns the product of two factors. Exponents are clamped, so that their sum does not overflow.
/// A factor that makes an item impossible remains one, whatever it is multiplied by: scores above 0
/// do not make the item possible.
#[inline(always)]
fn multiply<S: Simd>(a: Scaled<S>, b: Scaled<S>) -> Scaled<S> {
    let simd = a.m.token();
    let least = i32x16::splat(simd, MIN_EXPONENT);
    let e = a.e + b.e.max(least - a.e.min(MAX_EXPONENT));
    // `normalised` may have raised an exponent by 1.
    let is_least = a.e.min(b.e).simd_le(MIN_EXPONENT + 1);
    Scaled {
        m: a.m * b.m,
        e: is_least.select(least, e),
    }
}

/// A negative loss above −1e-6 is a rounding error and becomes 0. A lower one is returned
/// unchanged: the input is then not a distribution (see the semantics in `src/lib.rs`).
const LOSS_ROUNDING: f32 = 1e-6;

impl<S: Simd> Normaliser<S> {
    /// Multiplies by the factors of one frame per lane. The emissions of these frames are relative
    /// to `frame_max`.
    #[inline(always)]
    fn add(&mut self, simd: S, input: Input, [frame_max, row_max, sum_exp_m1]: &[[f32; LANES]; 3]) {
        let frame_max = f32x16::simd_from(simd, *frame_max);
        let row_max = f32x16::simd_from(simd, *row_max);
        let sum_exp_m1 = f32x16::simd_from(simd, *sum_exp_m1);
        let one = Scaled::new(simd, 1.0, 0);
        let mut factor = match input {
            // Log-probabilities need no normalisation: only exp(frame_max) is multiplied back.
            Input::LogProbs | Input::LogProbsExact => {
                let near = frame_max.abs().simd_lt(NEAR_ONE);
                self.neg_log -= near.select(frame_max, f32x16::splat(simd, 0.0));
                let factor = one.select_or(near, exp(frame_max));
                self.product = multiply(self.product, factor).normalised();
                return;
            }
            Input::Logits => exp_difference(frame_max, row_max),
            Input::Probs { .. } => {
                let frame_max = Scaled {
                    m: frame_max,
                    ..one
                }
                .normalised();
                let row_max = Scaled { m: row_max, ..one }.normalised();
                Scaled {
                    m: frame_max.m / row_max.m,
                    e: frame_max.e - row_max.e,
                }
            }
        };
        let near = sum_exp_m1.simd_lt(NEAR_ONE);
        self.neg_log += near.select(ln_1_plus(sum_exp_m1), f32x16::splat(simd, 0.0));
        factor.m = near.select(factor.m, factor.m / (sum_exp_m1 + 1.0));
        self.product = multiply(self.product, factor).normalised();
    }
}
