//! Emissions: the probabilities of the classes that an item needs, relative to the largest of them
//! in each frame.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::index::{LANES, aligned, aligned_ref, vec_bytes};
use super::item::ItemData;
use super::scaled::{MAX_NATS, MIN_PROB, Scaled, add_epsilon, exp_difference, ratio};
use crate::batch::CheckedBatch;
use crate::options::{Input, Options};

/// The emissions of an item: pairs of mantissa and exponent, one row per frame, in the order of the
/// item's classes.
#[derive(Debug, Default)]
pub(super) struct Emissions {
    pairs: Vec<f32>,
    /// The input of a few frames, gathered.
    entries: Vec<f32>,
}

/// The number of frames that are gathered before their emissions are computed. A vector that was
/// written element by element can be loaded only after all earlier instructions have finished, so
/// frames that were gathered one by one would not overlap.
const GATHERED: usize = 8;

/// Computes the emissions of item `n` into `out`, and the item's `frame_max`.
#[inline(always)]
pub(super) fn compute<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    item: &mut ItemData,
    n: usize,
    out: &mut Emissions,
) {
    // The loops are compiled once per kind of input, so that they contain no branches on it.
    match options.input {
        Input::Logits | Input::LogProbs | Input::LogProbsExact => {
            // The probability of a log-probability below the threshold counts as 0. For logits,
            // only the difference from the largest logit of the frame matters.
            let floor = match options.input {
                Input::Logits => f32::NEG_INFINITY,
                _ => -MAX_NATS,
            };
            emissions_of_frames(
                simd,
                checked,
                item,
                n,
                out,
                f32::MIN,
                #[inline(always)]
                |x| x,
                #[inline(always)]
                |x, max| {
                    exp_difference(x, max).select_or(x.simd_gt(floor), Scaled::zero_emission(simd))
                },
            );
        }
        Input::Probs { epsilon } => {
            emissions_of_frames(
                simd,
                checked,
                item,
                n,
                out,
                MIN_PROB,
                #[inline(always)]
                |x| add_epsilon(x, epsilon),
                #[inline(always)]
                |x, max| {
                    ratio(x.max(MIN_PROB), max)
                        .select_or(x.simd_ge(MIN_PROB), Scaled::zero_emission(simd))
                },
            );
        }
    }
}

/// For each frame, finds the largest score, which is at least `min_score`, and computes the
/// emissions relative to it.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "two functions describe the kind of input"
)]
fn emissions_of_frames<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    item: &mut ItemData,
    n: usize,
    out: &mut Emissions,
    min_score: f32,
    score: impl Fn(f32x16<S>) -> f32x16<S>,
    emission: impl Fn(f32x16<S>, f32x16<S>) -> Scaled<S>,
) {
    let width = item.width();
    let pairs = aligned(&mut out.pairs, item.frames * width * 2);
    let entries = aligned(&mut out.entries, GATHERED * width);
    entries.fill(f32::NEG_INFINITY);
    item.frame_max.resize(item.frames, f32::NAN);
    let lowest = f32x16::splat(simd, f32::MIN);
    let blocks = item.frame_max.chunks_mut(GATHERED).enumerate();
    for ((block, maxima), pairs) in blocks.zip(pairs.chunks_mut(GATHERED * width * 2)) {
        let count = maxima.len();
        for (j, entries) in entries.chunks_exact_mut(width).take(count).enumerate() {
            let row = checked.row(n, block * GATHERED + j);
            for (entry, class) in entries.iter_mut().zip(&item.classes) {
                *entry = row[*class as usize];
            }
        }
        let frames = entries.chunks_exact(width).zip(maxima);
        for ((entries, frame_max), pairs) in frames.zip(pairs.chunks_exact_mut(width * 2)) {
            let mut max = f32x16::splat(simd, min_score);
            for chunk in entries.chunks_exact(LANES) {
                let x = f32x16::from_slice(simd, chunk);
                max = max.max(x.is_finite().select(score(x), lowest));
            }
            *frame_max = max.reduce_max();
            let max = f32x16::splat(simd, *frame_max);
            for (index, chunk) in entries.chunks_exact(LANES).enumerate() {
                let x = f32x16::from_slice(simd, chunk);
                // −inf is a probability of 0. NaN and +inf are found later, with the row's
                // statistics.
                let y =
                    emission(score(x), max).select_or(x.is_finite(), Scaled::zero_emission(simd));
                y.store_pairs(pairs, index * LANES);
            }
        }
    }
}

impl Emissions {
    pub(super) fn bytes(&self) -> usize {
        vec_bytes(&self.pairs) + vec_bytes(&self.entries)
    }

    /// Returns the emissions of frame `t`, by class index.
    #[inline(always)]
    pub(super) fn frame(&self, t: usize, item: &ItemData) -> &[f32] {
        let floats = item.width() * 2;
        &aligned_ref(&self.pairs)[t * floats..(t + 1) * floats]
    }
}
