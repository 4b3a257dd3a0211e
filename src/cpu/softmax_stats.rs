//! stats: what a row of the class axis is divided by, and whether it means anything.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::index::LANES;

/// Of a frame: one of its largest scores, NaN where the row means nothing, and the excess: what the exponentials of the
/// others, relative to that one, sum to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stats {
    pub(super) top: f32,
    pub(super) excess: f32,
}

/// A row as whole vectors, the last one filled up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors<'a> {
    whole: &'a [[f32; LANES]],
    last: Option<[f32; LANES]>,
}

impl<'a> Vectors<'a> {
    /// `rest` fills up the last.
    #[inline(always)]
    pub(super) fn new(row: &'a [f32], rest: f32) -> Self {
        let (whole, last) = row.as_chunks::<LANES>();
        let mut padded = [rest; LANES];
        padded[..last.len()].copy_from_slice(last);
        Self {
            whole,
            last: (!last.is_empty()).then_some(padded),
        }
    }

    #[inline(always)]
    pub(super) fn each<S: Simd>(&self, simd: S, mut take: impl FnMut(f32x16<S>)) {
        for vector in self.whole {
            take(f32x16::simd_from(simd, *vector));
        }
        if let Some(last) = self.last {
            take(f32x16::simd_from(simd, last));
        }
    }

    /// Writes `value` of each vector to `out`, a row of the same length.
    #[inline(always)]
    pub(super) fn map<S: Simd>(
        &self,
        simd: S,
        out: &mut [f32],
        mut value: impl FnMut(f32x16<S>) -> f32x16<S>,
    ) {
        let (whole, rest) = out.as_chunks_mut::<LANES>();
        for (out, vector) in whole.iter_mut().zip(self.whole) {
            value(f32x16::simd_from(simd, *vector)).store_slice(out);
        }
        if let Some(last) = self.last {
            let last = value(f32x16::simd_from(simd, last));
            rest.copy_from_slice(&last.as_slice()[..rest.len()]);
        }
    }
}

/// The largest score if that is a number no less than `least`, and all are no less than `floor`; else NaN.
#[inline(always)]
pub(super) fn top_of<S: Simd>(
    simd: S,
    row: &Vectors<'_>,
    score: impl Fn(f32x16<S>) -> f32x16<S>,
    floor: f32,
    least: f32,
) -> f32 {
    let mut top = f32x16::splat(simd, f32::NEG_INFINITY);
    let mut fine = top.simd_eq(top);
    row.each(
        simd,
        #[inline(always)]
        |x| {
            let score = score(x);
            top = top.max(score);
            fine &= score.simd_ge(floor);
        },
    );
    let top = top.reduce_max();
    if fine.all_true() && (least..=f32::MAX).contains(&top) {
        top
    } else {
        f32::NAN
    }
}

/// The sums that make an excess, a lane each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excess<S: Simd> {
    ties: f32x16<S>,
    others: f32x16<S>,
}

impl<S: Simd> Excess<S> {
    #[inline(always)]
    pub(super) fn none(simd: S) -> Self {
        let zero = f32x16::splat(simd, 0.0);
        Self {
            ties: zero,
            others: zero,
        }
    }

    /// Adds the shares of some scores, and hands them on.
    #[inline(always)]
    pub(super) fn add(&mut self, share: f32x16<S>, score: f32x16<S>, top: f32) -> f32x16<S> {
        let simd = share.token();
        let (zero, one) = (f32x16::splat(simd, 0.0), f32x16::splat(simd, 1.0));
        let tie = score.simd_eq(top);
        self.ties += tie.select(one, zero);
        self.others += tie.select(zero, share);
        share
    }

    /// Beyond one of the largest.
    #[inline(always)]
    pub(super) fn sum(self) -> f32 {
        (self.ties.reduce_sum() - 1.0) + self.others.reduce_sum()
    }
}
