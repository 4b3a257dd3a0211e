//! Numbers of very different magnitude, for which a formula that is mathematically right can lose
//! its digits.

use super::batch::OwnedBatch;
use super::random::{BatchSpec, Rng};
use super::random_case::RandomCase;
use ctc_wgpu::{Input, Options};

/// Returns cases with losses of 1e7 nats and more. The logits of a frame differ by hundreds of
/// thousands of nats, so a label may be as improbable as a masked class.
#[must_use]
pub fn huge_losses() -> Vec<RandomCase> {
    let case = |(seed, labels)| {
        let spec = BatchSpec {
            scale: 3e5,
            ragged: false,
            ..BatchSpec::new([4, 150, 9], labels)
        };
        let name = format!("losses of 1e7 nats, {labels} labels, seed {seed}");
        RandomCase::new(name, spec.batch(seed), Options::default())
    };
    // The last case has 18 quads, which is not a power of two, so some lanes of a sweep are idle.
    [(0, 20), (1, 20), (2, 20), (3, 70)].map(case).into()
}

/// Values that are used to mask classes in logits. All are above −2^30, from which on a probability
/// counts as 0. The lowest f16 is −65504.
const MASKS: [f32; 7] = [-1.0e4, -65504.0, -1.0e5, -1.0e6, -1.0e7, -1.0e8, -1.0e9];

/// Returns cases whose labels are masked in every frame. The differences between the frames, which
/// decide the alignment, are far smaller than the common mask. In half of the cases another class,
/// which no label needs, is far above 0.
#[must_use]
pub fn masked_labels() -> Vec<RandomCase> {
    let mut cases = Vec::new();
    for mask in MASKS {
        for (frames, labels) in [
            (12, vec![1, 3]),
            (200, vec![1, 3]),
            (40, vec![3, 4, 3, 1, 4]),
        ] {
            let masked = labels
                .iter()
                .filter(|label| (3..5).contains(*label))
                .count();
            for above in [0.0, 65504.0] {
                // The loss must stay below 2^30, from which on a probability counts as 0.
                if frames as f32 * above - masked as f32 * mask > 1.05e9 {
                    continue;
                }
                let spec = BatchSpec {
                    ragged: false,
                    ..BatchSpec::new([1, frames, 6], 0)
                };
                let mut values = spec.batch(frames as u64).values;
                for row in values.chunks_mut(6) {
                    row[3..5].fill(mask);
                    row[5] += above;
                }
                let name =
                    format!("labels masked with {mask}, another class at {above}, T = {frames}");
                let batch = OwnedBatch::one([frames, 6], values, &labels);
                cases.push(RandomCase::new(name, batch, Options::default()));
            }
        }
    }
    cases
}

/// Returns cases in which one class of each frame is far above all others, and no path can use it
/// in more than two of the eight frames. In the other frames the difference to the maximum loses
/// digits, so its rounding error must be compensated.
#[must_use]
pub fn far_below() -> Vec<RandomCase> {
    [307.3, 9_007.3].map(far_below_by).into()
}

fn far_below_by(far_above: f32) -> RandomCase {
    let classes = 5;
    let values = (0..8_usize).flat_map(|t| {
        let far = if t < 4 { 3 } else { 1 };
        (0..classes).map(move |class| {
            let odd = ((t * classes + class) * 37 % 64) as f32 / 8.0 + 0.123_456;
            if class == far { far_above + odd } else { -odd }
        })
    });
    let batch = OwnedBatch::one([8, classes], values.collect(), &[1, 2, 3]);
    let name = format!("classes {far_above} below their frame's maximum");
    RandomCase::new(name, batch, Options::default())
}

/// Returns impossible items whose scores exceed 0 in many frames. Two of the frames cost 2.1e9
/// nats, and the others give back a part of it, so a bounded sum must not become smaller again. The
/// two are 1,024 frames apart, so that one lane of a kernel adds them up before any other sum.
#[must_use]
pub fn impossible_in_spite_of_scores_above_0() -> Vec<RandomCase> {
    let frames = 600_000;
    let options = Options::default().input(Input::LogProbs);
    let case = |name: &str, low: [usize; 2]| {
        let mut values = vec![88.0; frames];
        for t in low {
            values[t] = -1.07e9;
        }
        let batch = OwnedBatch::one([frames, 1], values, &[]);
        RandomCase::new(name.to_owned(), batch, options)
    };
    vec![
        case("masked in the first frames", [0, 1024]),
        case("masked in the last frames", [frames - 1025, frames - 1]),
    ]
}

/// Returns a case with 33 equally probable paths, which step from label 1 to label 2 before an even
/// frame. The logits of label 1 are −16,383 in each frame, those of label 2 alternate between 0 and
/// −32,766. An exponential whose relative error depends on its argument changes how often each path
/// is taken: an error of 1e-5 per frame becomes 3e-4 over 64 frames.
#[must_use]
pub fn equally_probable_paths() -> Vec<RandomCase> {
    let frames = 64;
    let values = (0..frames).flat_map(|t| {
        let label_2 = if t % 2 == 0 { 0.0 } else { -32_766.0 };
        [-1.0e6, -16_383.0, label_2, 0.0]
    });
    let batch = OwnedBatch::one([frames, 4], values.collect(), &[1, 2]);
    let name = "paths that are equally probable over 64 frames".to_owned();
    vec![RandomCase::new(name, batch, Options::default())]
}

/// Returns cases in which one class is as improbable as the smallest normal number, 2^-126, in one
/// of the first four frames and of the last four, so that its occupancy there is a little above or
/// below it. Whether a kernel counts an occupancy as 0 must depend on its value only. The emission
/// table cannot hold some of these emissions, but it holds those of the other frames, so variants
/// that read it represent them in another way.
#[must_use]
pub fn near_underflow() -> Vec<RandomCase> {
    let case = |(seed, dims, labels): (u64, [usize; 3], usize)| {
        let [items, frames, _] = dims;
        let spec = BatchSpec {
            ragged: false,
            ..BatchSpec::new(dims, labels)
        };
        let mut batch = spec.batch(seed);
        let mut rng = Rng::new(seed);
        for item in 0..items {
            for t in [item % 4, frames - 1 - item % 4] {
                let first = batch.row(item, t);
                batch.values[first + rng.below(3)] = -86.5 + 2.0 * rng.unit();
            }
        }
        let name = format!("a class as improbable as 2^-126, {labels} labels, seed {seed}");
        RandomCase::new(name, batch, Options::default())
    };
    let cases = [(0, [400, 17, 6], 4), (1, [8, 150, 300], 60)];
    cases.map(case).into()
}
