//! Statistics of a row of the class axis: the divisor of its softmax, and whether it is valid.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::index::LANES;

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

/// A row as whole vectors. If its length is not a multiple of `LANES`, the last vector overlaps
/// with the one before, or it is padded if the row is shorter than a vector.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowVectors<'a> {
    whole: &'a [[f32; LANES]],
    /// The elements after the whole vectors.
    rest: &'a [f32],
    /// The last `LANES` elements.
    last: Option<&'a [f32; LANES]>,
    padding: f32,
}

impl<'a> RowVectors<'a> {
    /// Splits a row into vectors. In the last one, `padding` replaces the elements of the vector
    /// before, and those past the row.
    #[inline(always)]
    pub(super) fn new(row: &'a [f32], padding: f32) -> Self {
        let (whole, rest) = row.as_chunks::<LANES>();
        Self {
            whole,
            rest,
            last: row.last_chunk(),
            padding,
        }
    }

    /// Calls `take` with each vector.
    #[inline(always)]
    pub(super) fn each<S: Simd>(&self, simd: S, mut take: impl FnMut(f32x16<S>)) {
        if !self.rest.is_empty() {
            take(self.rest(simd));
        }
        for vector in self.whole {
            take(f32x16::simd_from(simd, *vector));
        }
    }

    /// Writes `value(vector)` for each vector to `out`, a row of the same length.
    #[inline(always)]
    pub(super) fn map<S: Simd>(
        &self,
        simd: S,
        out: &mut [f32],
        mut value: impl FnMut(f32x16<S>) -> f32x16<S>,
    ) {
        if !self.rest.is_empty() {
            let rest = value(self.rest(simd));
            // The whole vectors overwrite what this writes into the vector before.
            match out.last_chunk_mut::<LANES>() {
                Some(last) => rest.store_slice(last),
                None => out.copy_from_slice(&rest.as_slice()[..out.len()]),
            }
        }
        let (whole, _) = out.as_chunks_mut::<LANES>();
        for (out, vector) in whole.iter_mut().zip(self.whole) {
            value(f32x16::simd_from(simd, *vector)).store_slice(out);
        }
    }

    /// Returns the vector that ends with the elements after the whole vectors, or that begins with
    /// them if there are no whole vectors.
    #[inline(always)]
    fn rest<S: Simd>(&self, simd: S) -> f32x16<S> {
        const LANE: [f32; LANES] = [
            0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
        ];
        if let Some(last) = self.last {
            let overlap = (LANES - self.rest.len()) as f32;
            f32x16::simd_from(simd, LANE).simd_ge(overlap).select(
                f32x16::simd_from(simd, *last),
                f32x16::splat(simd, self.padding),
            )
        } else {
            let mut padded = [self.padding; LANES];
            padded[..self.rest.len()].copy_from_slice(self.rest);
            f32x16::simd_from(simd, padded)
        }
    }
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
