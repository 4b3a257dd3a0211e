//! Random batches that are the same on every machine: a seed names a batch.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::batch::{OwnedBatch, concatenated};

/// A generator whose numbers no version of a crate changes: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Rng(SplitMix64);

impl Rng {
    /// Creates a generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number in `0..n`, uniform up to the bias of the remainder.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// Returns a multiple of 2^-23 in [−1, 1), uniformly distributed.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Returns a positive number between 2^-60 and 2^61, of any magnitude.
    pub fn normal(&mut self) -> f32 {
        (1.5 + 0.499 * self.unit()) * (60.0 * self.unit()).exp2()
    }

    /// Returns true with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        (self.unit() + 1.0) / 2.0 < p
    }
}

/// The distribution of a random batch.
#[derive(Debug, Clone)]
pub struct BatchSpec {
    /// N, T, C
    pub dims: [usize; 3],
    /// Label lengths lie in `0..=max_labels`, and may exceed what fits the frames.
    pub max_labels: usize,
    /// The class of the blank. No label has it.
    pub blank: usize,
    /// Logits lie in [−scale, scale).
    pub scale: f32,
    /// The probability that a label repeats the previous one.
    pub repeats: f32,
    /// The probability that a logit is −inf. At least one class of each frame stays finite.
    pub minus_infinity: f32,
    /// True if logit lengths vary within `0..=T`.
    pub ragged: bool,
    /// True if items have weights, in [−2, 2).
    pub weights: bool,
    /// True if the labels are concatenated.
    pub concatenated: bool,
}

impl BatchSpec {
    /// Returns the default distribution: variable lengths, and one repeated label in five.
    pub fn new(dims: [usize; 3], max_labels: usize) -> Self {
        Self {
            dims,
            max_labels,
            blank: 0,
            scale: 3.0,
            repeats: 0.2,
            minus_infinity: 0.0,
            ragged: true,
            weights: false,
            concatenated: false,
        }
    }

    /// Generates the batch-major batch of a seed.
    pub fn batch(&self, seed: u64) -> OwnedBatch {
        let mut rng = Rng::new(seed);
        let [items, frames, classes] = self.dims;
        let values = (0..items * frames)
            .flat_map(|_| self.frame(&mut rng))
            .collect();
        let labels: Vec<Vec<i32>> = (0..items).map(|_| self.label(&mut rng)).collect();
        let mut batch = OwnedBatch::new([items, frames, classes], values, &labels);
        if self.concatenated {
            batch = batch.labels(concatenated(&labels));
        }
        if self.ragged {
            let lengths: Vec<i32> = (0..items).map(|_| rng.below(frames + 1) as i32).collect();
            batch = batch.logit_lengths(&lengths);
        }
        if self.weights {
            let weights: Vec<f32> = (0..items).map(|_| 2.0 * rng.unit()).collect();
            batch = batch.weights(&weights);
        }
        batch
    }

    fn frame(&self, rng: &mut Rng) -> Vec<f32> {
        let classes = self.dims[2];
        let finite_class = rng.below(classes);
        let logit = |class| {
            let value = self.scale * rng.unit();
            let masked = rng.chance(self.minus_infinity) && class != finite_class;
            if masked { f32::NEG_INFINITY } else { value }
        };
        (0..classes).map(logit).collect()
    }

    fn label(&self, rng: &mut Rng) -> Vec<i32> {
        let classes = self.dims[2];
        if classes < 2 {
            return Vec::new();
        }
        let mut labels: Vec<i32> = Vec::new();
        for _ in 0..rng.below(self.max_labels + 1) {
            let class = rng.below(classes - 1);
            let class = if class < self.blank { class } else { class + 1 };
            let repeated = labels.last().copied().filter(|_| rng.chance(self.repeats));
            labels.push(repeated.unwrap_or(class as i32));
        }
        labels
    }
}

/// Generates a batch with `labels` labels in each item, and all frames valid.
#[must_use]
pub fn full(dims: [usize; 3], labels: usize, scale: f32, seed: u64) -> OwnedBatch {
    let spec = BatchSpec {
        scale,
        ragged: false,
        ..BatchSpec::new(dims, 0)
    };
    let values = spec.batch(seed).values;
    let classes = dims[2] as u64;
    let label = |n: usize, i: usize| {
        // Any fixed hash will do, as long as classes repeat, sometimes consecutively.
        let mixed = (n as u64 * 31 + i as u64 * 7 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        1 + (mixed % (classes - 1)) as i32
    };
    let lists: Vec<Vec<i32>> = (0..dims[0])
        .map(|n| (0..labels).map(|i| label(n, i)).collect())
        .collect();
    OwnedBatch::new(dims, values, &lists)
}
