//! Batches with subnormal or infinite numbers, and batches that are large along one axis.

use super::batch::OwnedBatch;
use super::random::{BatchSpec, Rng, full};
use super::random_case::{RandomCase, log_probs};
use ctc_wgpu::{Input, Options};

/// Returns cases with subnormal logits, log-probabilities, probabilities and weights, which a GPU
/// may flush to 0.
#[must_use]
pub fn subnormals() -> Vec<RandomCase> {
    let spec = BatchSpec {
        ragged: false,
        ..BatchSpec::new([3, 12, 6], 4)
    };
    let tiny = |batch: &mut OwnedBatch, every: usize| {
        let mut rng = Rng::new(every as u64);
        for value in batch.values.iter_mut().step_by(every) {
            // From the smallest subnormal up to the largest, of both signs.
            let bits = 1 + rng.below(0x007f_ffff);
            *value = f32::from_bits(u32::try_from(bits).unwrap_or(1)).copysign(*value);
        }
    };
    let with = |name: &str, input, batch| {
        let options = Options::default().input(input);
        RandomCase::new(format!("subnormal {name}"), batch, options)
    };
    let mut all = spec.batch(31);
    tiny(&mut all, 1);
    let mut some = spec.batch(32);
    tiny(&mut some, 3);
    let mut logs = log_probs(&spec.batch(33));
    // A subnormal log-probability is a probability of 1, so these rows sum to more than 1. That is
    // allowed.
    tiny(&mut logs, 5);
    let mut probs = log_probs(&spec.batch(34));
    probs.values.iter_mut().for_each(|x| *x = x.exp());
    tiny(&mut probs, 4);
    probs.values.iter_mut().for_each(|x| *x = x.abs());
    let mut below = probs.clone();
    for value in below.values.iter_mut().step_by(8) {
        *value = -*value;
    }
    let weights = [f32::from_bits(1), f32::from_bits(0x0040_0000), 1.5];
    let weighted = spec.batch(35).weights(&weights);
    vec![
        with("logits", Input::Logits, all),
        with("logits among others", Input::Logits, some),
        with("log-probabilities", Input::LogProbs, logs),
        with(
            "probabilities",
            Input::Probs { epsilon: 1e-7 },
            probs.clone(),
        ),
        with(
            "probabilities without ε",
            Input::Probs { epsilon: 0.0 },
            probs,
        ),
        with(
            "probabilities, some below 0",
            Input::Probs { epsilon: 0.0 },
            below,
        ),
        with("weights", Input::Logits, weighted),
    ]
}

/// Returns cases in which some, or almost all, of the logits are −∞.
#[must_use]
pub fn minus_infinity() -> Vec<RandomCase> {
    let shares = [0.02, 0.2, 0.5, 0.9];
    let case = |(index, minus_infinity): (usize, f32)| {
        let spec = BatchSpec {
            minus_infinity,
            ..BatchSpec::new([5, 30, 12], 6)
        };
        let name = format!("{:.0} % of the logits are −∞", 100.0 * minus_infinity);
        RandomCase::new(name, spec.batch(index as u64), Options::default())
    };
    shares.into_iter().enumerate().map(case).collect()
}

/// Generates one case per shape (N, T, C), label length and scale of the logits, all frames valid.
#[must_use]
pub fn large(shapes: &[([usize; 3], usize, f32)]) -> Vec<RandomCase> {
    let case = |(index, (dims, labels, scale)): (usize, &([usize; 3], usize, f32))| {
        let [items, frames, classes] = dims;
        let name = format!("T={frames} N={items} C={classes} L={labels}, logits ×{scale}");
        let batch = full(*dims, *labels, *scale, index as u64);
        RandomCase::new(name, batch, Options::default())
    };
    shapes.iter().enumerate().map(case).collect()
}
