//! The batches that are timed, and whose accuracy is measured: the same on every machine.

use ctc_wgpu::{Batch, LabelLayout, Shape};

/// T, N, C and L of the batches.
pub(crate) const SHAPES: [[usize; 4]; 7] = [
    [50, 32, 20, 12],    // a small OCR network
    [150, 32, 28, 40],   // characters, short utterances
    [150, 64, 5000, 20], // word pieces, or Chinese characters: the class axis dominates
    [256, 16, 80, 100],
    [500, 8, 1000, 100],
    [1500, 8, 32, 300], // half a minute of speech, characters
    [2000, 4, 128, 500],
];

/// A batch-major batch with blank 0, where every frame and every label counts.
pub(crate) struct Inputs {
    pub(crate) shape: Shape,
    pub(crate) logits: Vec<f32>,
    pub(crate) labels: Vec<i32>,
    pub(crate) label_lengths: Vec<i32>,
}

impl Inputs {
    /// Logits of mean 0 and variance `scale`², labels uniform from 1 on. No more repeats than chance gives, so that an
    /// alignment exists wherever T is well above L.
    pub(crate) fn new([frames, items, classes, labels]: [usize; 4], scale: f32) -> Self {
        let mut rng = SplitMix(7);
        let shape = Shape::new(items, frames, classes, labels);
        // Four uniforms in [−½, ½) have variance ⅓ together: bell-shaped, and free of a libm that differs by machine.
        let root3 = 3.0_f32.sqrt();
        let logit = |rng: &mut SplitMix| (0..4).map(|_| rng.centred()).sum::<f32>() * root3 * scale;
        Self {
            shape,
            logits: (0..shape.elements()).map(|_| logit(&mut rng)).collect(),
            labels: (0..items * labels)
                .map(|_| rng.below(small(classes - 1)) + 1)
                .collect(),
            label_lengths: vec![small(labels); items],
        }
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        assert_eq!(self.shape.label_layout, LabelLayout::Padded);
        let Shape {
            items,
            frames,
            classes,
            ..
        } = self.shape;
        Batch::new([items, frames, classes], &self.logits).labels(&self.labels, &self.label_lengths)
    }

    /// `T=… N=… C=… L=…`
    pub(crate) fn name(&self) -> String {
        let Shape {
            items,
            frames,
            classes,
            max_labels,
            ..
        } = self.shape;
        format!("T={frames} N={items} C={classes} L={max_labels}")
    }
}

fn small(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// SplitMix64 (Steele, Lea, Flood 2014): a few lines, and no crate whose next version gives other numbers.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [−½, ½), a multiple of 2^-16: sums of a few are exact.
    fn centred(&mut self) -> f32 {
        let word = u16::try_from(self.next() >> 48).unwrap_or(0);
        f32::from(word) / 65_536.0 - 0.5
    }

    /// Uniform in `0..n`; the bias of the remainder does not matter here.
    fn below(&mut self, n: i32) -> i32 {
        i32::try_from((self.next() >> 33) % u64::from(n.unsigned_abs().max(1))).unwrap_or(0)
    }
}
