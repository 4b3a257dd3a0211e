//! Statistics of a row of the class axis: the divisor of its softmax, and whether it is valid.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::row_vectors::RowVectors;

/// The statistics of one frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowStats {
    /// The largest score, or a score at most `MAX_ABOVE` (see [`grad`](super::grad)) below it; NaN
    /// if the row is not a distribution.
    pub(super) row_max: f32,
    /// The sum of exp(score − row_max) over the row, minus 1. For probabilities, the sum of
    /// score / row_max, minus 1; for log-probabilities, 0.
    pub(super) sum_exp_m1: f32,
}

/// Returns the largest score, or NaN if that is not a finite number of at least `min`, or if any
/// score is NaN or below `floor`.
#[inline(always)]
pub(super) fn row_max<S: Simd>(
    simd: S,
    row: &RowVectors<'_>,
    score: impl Fn(f32x16<S>) -> f32x16<S>,
    floor: f32,
    min: f32,
) -> f32 {
    let mut max = f32x16::splat(simd, f32::NEG_INFINITY);
    let mut valid = max.simd_eq(max);
    row.each(
        simd,
        #[inline(always)]
        |x| {
            let score = score(x);
            max = max.max(score);
            valid &= score.simd_ge(floor);
        },
    );
    let max = max.reduce_max();
    if valid.all_true() && (min..=f32::MAX).contains(&max) {
        max
    } else {
        f32::NAN
    }
}

/// Accumulates a sum of exponentials minus 1, lane by lane. Elements equal to the maximum are
/// counted apart, so the 1 is subtracted from an exact number and small sums keep their digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct SumExpM1<S: Simd> {
    ties: f32x16<S>,
    others: f32x16<S>,
}

impl<S: Simd> SumExpM1<S> {
    #[inline(always)]
    pub(super) fn new(simd: S) -> Self {
        let zero = f32x16::splat(simd, 0.0);
        Self {
            ties: zero,
            others: zero,
        }
    }

    /// Adds the exponentials of a vector of scores, and returns them.
    #[inline(always)]
    pub(super) fn add(&mut self, exp: f32x16<S>, score: f32x16<S>, max: f32) -> f32x16<S> {
        let simd = exp.token();
        let (zero, one) = (f32x16::splat(simd, 0.0), f32x16::splat(simd, 1.0));
        let tie = score.simd_eq(max);
        self.ties += tie.select(one, zero);
        self.others += tie.select(zero, exp);
        exp
    }

    /// Returns the sum, minus 1 for one of the elements that are equal to the maximum.
    #[inline(always)]
    pub(super) fn total(self) -> f32 {
        (self.ties.reduce_sum() - 1.0) + self.others.reduce_sum()
    }
}
