//! A row of the class axis in vectors.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::index::LANES;

/// A row as whole vectors. If its length is not a multiple of `LANES`, the last vector overlaps
/// with the one before, or it is padded if the row is shorter than a vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowVectors<'a> {
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
    pub(crate) fn new(row: &'a [f32], padding: f32) -> Self {
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
    pub(crate) fn each<S: Simd>(&self, simd: S, mut take: impl FnMut(f32x16<S>)) {
        if !self.rest.is_empty() {
            take(self.rest(simd));
        }
        for vector in self.whole {
            take(f32x16::simd_from(simd, *vector));
        }
    }

    /// Writes `value(vector)` for each vector to `out`, a row of the same length.
    #[inline(always)]
    pub(crate) fn map<S: Simd>(
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

    /// Returns the vector of the elements after the whole vectors. They are its last elements, or
    /// its first ones if the row is shorter than a vector.
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
