//! Random batches that are the same on every machine: a seed names a batch.

use super::batch::{OwnedBatch, concatenated};

/// SplitMix64 (Steele, Lea, Flood 2014): a few lines, and no crate whose next version gives other numbers.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Draws from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`; the bias of the remainder does not matter here.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// Uniform in [−1, 1), a multiple of 2^-23.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// A positive normal number of any magnitude from 2^-60 to 2^60.
    pub fn normal(&mut self) -> f32 {
        (1.5 + 0.499 * self.unit()) * (60.0 * self.unit()).exp2()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        (self.unit() + 1.0) / 2.0 < p
    }
}

/// What a random batch looks like.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// N, T, C
    pub dims: [usize; 3],
    /// Label lengths lie in `0..=max_labels`, and are not kept to what fits the frames.
    pub max_labels: usize,
    /// The blank's class, which no label is.
    pub blank: usize,
    /// Logits lie in [−scale, scale).
    pub scale: f32,
    /// How often a label repeats the one before it.
    pub repeats: f32,
    /// How often a logit is −inf; one class of each frame stays finite.
    pub minus_infinity: f32,
    /// Whether logit lengths vary within `0..=T`.
    pub ragged: bool,
    /// Whether items have weights, in [−2, 2).
    pub weights: bool,
    /// Whether the labels are concatenated.
    pub concatenated: bool,
}

impl Recipe {
    /// Ragged items with a fifth of repeats, and nothing else out of the ordinary.
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

    /// The batch-major batch of this recipe and `seed`.
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
        let stays = rng.below(classes);
        let logit = |class| {
            let value = self.scale * rng.unit();
            let gone = rng.chance(self.minus_infinity) && class != stays;
            if gone { f32::NEG_INFINITY } else { value }
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
            let drawn = rng.below(classes - 1);
            let drawn = if drawn < self.blank { drawn } else { drawn + 1 };
            let repeated = labels.last().copied().filter(|_| rng.chance(self.repeats));
            labels.push(repeated.unwrap_or(drawn as i32));
        }
        labels
    }
}

/// A batch whose labels are as long as `labels` says, and whose frames all count.
#[must_use]
pub fn full(dims: [usize; 3], labels: usize, scale: f32, seed: u64) -> OwnedBatch {
    let recipe = Recipe {
        scale,
        ragged: false,
        ..Recipe::new(dims, 0)
    };
    let values = recipe.batch(seed).values;
    let classes = dims[2] as u64;
    let label = |n: usize, i: usize| {
        // Any fixed scramble: what matters is that classes repeat, and sometimes in a row.
        let mixed = (n as u64 * 31 + i as u64 * 7 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        1 + (mixed % (classes - 1)) as i32
    };
    let lists: Vec<Vec<i32>> = (0..dims[0])
        .map(|n| (0..labels).map(|i| label(n, i)).collect())
        .collect();
    OwnedBatch::new(dims, values, &lists)
}
