//! The numbers of a batch from a seed: the same bits on every machine and in every program.
//! `benches/peers/inputs.py` is its equal in numpy.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// T, N, C and L of the batches.
pub const SHAPES: [[usize; 4]; 7] = [
    [50, 32, 20, 12],    // a small OCR network
    [150, 32, 28, 40],   // characters, short utterances
    [150, 64, 5000, 20], // word pieces, or Chinese characters: the class axis dominates
    [256, 16, 80, 100],
    [500, 8, 1000, 100],
    [1500, 8, 32, 300], // half a minute of speech, characters
    [2000, 4, 128, 500],
];

/// Returns the logits `[N, T, C]` and the labels `[N, L]` of a batch of shape `[T, N, C, L]`.
///
/// Logits have mean 0 and variance `scale`²; labels are uniform from 1 on. Repeated labels occur
/// only by chance, so that an alignment exists if T is well above L.
pub fn numbers([frames, items, classes, labels]: [usize; 4], scale: f32) -> (Vec<f32>, Vec<i32>) {
    let mut rng = SplitMix64::seed_from_u64(7);
    // The sum of four uniform numbers in [−½, ½) has variance ⅓ and is bell-shaped. It needs no
    // libm, which differs between machines.
    let root3 = 3.0_f32.sqrt();
    let mut logit = || (0..4).map(|_| centred(&mut rng)).sum::<f32>() * root3 * scale;
    let logits = (0..items * frames * classes).map(|_| logit()).collect();
    let last = i32::try_from(classes - 1).unwrap_or(i32::MAX);
    let labels = (0..items * labels)
        .map(|_| below(&mut rng, last) + 1)
        .collect();
    (logits, labels)
}

/// Returns a uniform number in [−½, ½), a multiple of 2^-16, so that sums of a few are exact.
fn centred(rng: &mut SplitMix64) -> f32 {
    let word = u16::try_from(rng.next_u64() >> 48).unwrap_or(0);
    f32::from(word) / 65_536.0 - 0.5
}

/// Returns a uniform number in `0..n`; the bias of the remainder does not matter here.
fn below(rng: &mut SplitMix64, n: i32) -> i32 {
    i32::try_from((rng.next_u64() >> 33) % u64::from(n.unsigned_abs().max(1))).unwrap_or(0)
}
