//! Numbers far from each other, where a formula that is right on paper loses its digits.

use super::batch::OwnedBatch;
use super::drawn::Drawn;
use super::random::Recipe;
use crate::Options;

/// Losses of 1e11 nats. Exponents of 2 pass 2^24 there, beyond which f32 has no odd integers, so that the sum of all paths
/// has another one at each frame; and each item has one path that counts.
#[must_use]
pub fn huge_losses() -> Vec<Drawn> {
    let drawn = |(seed, labels)| {
        let recipe = Recipe {
            scale: 1e9,
            ragged: false,
            ..Recipe::new([4, 150, 9], labels)
        };
        let name = format!("losses of 1e11 nats, {labels} labels, seed {seed}");
        Drawn::new(name, recipe.batch(seed), Options::default())
    };
    // The last has 18 quads: no power of two of lanes.
    [(0, 20), (1, 20), (2, 20), (3, 70)].map(drawn).into()
}

/// Above which [`far_below`] asks for what rounding has taken.
pub const FAR: f32 = 9_007.3;

/// Where f32's own digits are enough, for drivers that lose two-sums by reordering sums (GLSL from naga has no `precise`).
pub const NOT_SO_FAR: f32 = 307.3;

/// In each frame a class that has no part in it yet, or no more, is `far_above` the two that have: what tells those apart
/// is what rounding takes from their differences to the frame's maximum.
#[must_use]
pub fn far_below(far_above: f32) -> Drawn {
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
    Drawn::new(name, batch, Options::default())
}
