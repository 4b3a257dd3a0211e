//! emit: the probabilities that an item needs, relative to the largest of them in each frame.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::check_labels::Item;
use super::index::{LANES, bytes, lines, lines_of};
use super::scaled::{LEAST, SMALLEST, Scaled, biased, exp_below, ratio};
use crate::batch::CheckedBatch;
use crate::options::{Input, Options};

/// The emissions of an item: pairs of mantissa and exponent, a row a frame, in the order of the item's classes.
#[derive(Debug, Default)]
pub(super) struct Emissions {
    pairs: Vec<f32>,
    /// The entries of one frame.
    entries: Vec<f32>,
}

/// Fills `out` and the item's `tops`.
#[inline(always)]
pub(super) fn emit<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    item: &mut Item,
    n: usize,
    out: &mut Emissions,
) {
    // One copy of the loops for each convention, with nothing to choose inside.
    match options.input {
        Input::Logits | Input::LogProbs | Input::LogProbsExact => {
            // Log-probabilities count by themselves, logits by how far they are below the frame's largest.
            let floor = match options.input {
                Input::Logits => f32::NEG_INFINITY,
                _ => -LEAST,
            };
            frames(
                simd,
                checked,
                item,
                n,
                out,
                f32::MIN,
                #[inline(always)]
                |x| x,
                #[inline(always)]
                |x, top| exp_below(x, top).or(x.simd_gt(floor), Scaled::zero(simd)),
            );
        }
        Input::Probs { epsilon } => {
            frames(
                simd,
                checked,
                item,
                n,
                out,
                SMALLEST,
                #[inline(always)]
                |x| biased(x, epsilon),
                #[inline(always)]
                |x, top| ratio(x.max(SMALLEST), top).or(x.simd_ge(SMALLEST), Scaled::zero(simd)),
            );
        }
    }
}

/// Each frame: its largest score, no less than `least`, and the emissions relative to that.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "the convention comes as two functions"
)]
fn frames<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    item: &mut Item,
    n: usize,
    out: &mut Emissions,
    least: f32,
    score: impl Fn(f32x16<S>) -> f32x16<S>,
    emission: impl Fn(f32x16<S>, f32x16<S>) -> Scaled<S>,
) {
    let width = item.width();
    let pairs = lines(&mut out.pairs, item.frames * width * 2);
    let entries = lines(&mut out.entries, width);
    entries.fill(f32::NEG_INFINITY);
    let lowest = f32x16::splat(simd, f32::MIN);
    for t in 0..item.frames {
        let row = checked.row(n, t);
        for (entry, class) in entries.iter_mut().zip(&item.classes) {
            *entry = row[*class as usize];
        }
        let mut top = f32x16::splat(simd, least);
        for chunk in entries.chunks_exact(LANES) {
            let x = f32x16::from_slice(simd, chunk);
            top = top.max(x.is_finite().select(score(x), lowest));
        }
        let top = top.reduce_max();
        item.tops.push(top);
        let pairs = &mut pairs[t * width * 2..(t + 1) * width * 2];
        for (index, chunk) in entries.chunks_exact(LANES).enumerate() {
            let x = f32x16::from_slice(simd, chunk);
            // −inf means a probability of 0; what means nothing is found out with the row's statistics.
            let y =
                emission(score(x), f32x16::splat(simd, top)).or(x.is_finite(), Scaled::zero(simd));
            y.store_pairs(pairs, index * LANES);
        }
    }
}

impl Emissions {
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.pairs) + bytes(&self.entries)
    }

    /// The pairs of frame `t` by slot.
    #[inline(always)]
    pub(super) fn frame(&self, t: usize, item: &Item) -> &[f32] {
        let floats = item.width() * 2;
        &lines_of(&self.pairs)[t * floats..(t + 1) * floats]
    }
}
