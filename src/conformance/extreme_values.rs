//! Numbers far from each other, where a formula that is right on paper loses its digits.

use super::batch::OwnedBatch;
use super::random::Recipe;
use super::random_case::RandomCase;
use crate::Options;

/// Losses of 1e7 nats and more, in which each path has its own exponent of 2 at each frame. A frame's label may be as
/// unlikely as any mask makes it.
#[must_use]
pub fn huge_losses() -> Vec<RandomCase> {
    let drawn = |(seed, labels)| {
        let recipe = Recipe {
            scale: 3e5,
            ragged: false,
            ..Recipe::new([4, 150, 9], labels)
        };
        let name = format!("losses of 1e7 nats, {labels} labels, seed {seed}");
        RandomCase::new(name, recipe.batch(seed), Options::default())
    };
    // The last has 18 quads: no power of two of lanes.
    [(0, 20), (1, 20), (2, 20), (3, 70)].map(drawn).into()
}

/// The masks that people write into logits, from the smallest that count as such to the largest whose exponents are
/// still exact: f16's lowest is −65504.
const MASKS: [f32; 6] = [-1.0e4, -65504.0, -1.0e5, -1.0e6, -1.0e7, -1.0e8];

/// Labels whose classes are masked in every frame, and are needed all the same: what decides between their frames is
/// far smaller than what is common to them. A class that no label needs may stand as far above.
#[must_use]
pub fn masked_labels() -> Vec<RandomCase> {
    let mut drawn = Vec::new();
    for mask in MASKS {
        for (frames, labels) in [
            (12, vec![1, 3]),
            (200, vec![1, 3]),
            (40, vec![3, 4, 3, 1, 4]),
        ] {
            // The loss stays below what counts as 0.
            if labels.len() > 2 && mask < -3.0e7 {
                continue;
            }
            for above in [0.0, 65504.0] {
                if above > 0.0 && frames as f32 * (above - mask) > 2.0e8 {
                    continue;
                }
                let recipe = Recipe {
                    ragged: false,
                    ..Recipe::new([1, frames, 6], 0)
                };
                let mut values = recipe.batch(frames as u64).values;
                for row in values.chunks_mut(6) {
                    row[3..5].fill(mask);
                    row[5] += above;
                }
                let name =
                    format!("needed labels at {mask}, another class at {above}, T = {frames}");
                let batch = OwnedBatch::one([frames, 6], values, &labels);
                drawn.push(RandomCase::new(name, batch, Options::default()));
            }
        }
    }
    drawn
}

/// In each frame a class that has no part in it yet, or no more, is `far_above` the two that have: what tells those apart
/// is what rounding takes from their differences to the frame's maximum.
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
