//! What goes wrong around the kernels: devices that go, memory that is full, crowds, neighbours and slowness. The promise
//! is the same each time: the right bits, or an error that says what happened; never a panic, never a wait for ever.

mod concurrency;
mod foreign_work;
mod isolation;
mod lost;
mod memory;
mod slow;

use ctc_wgpu::Options;

use crate::support::batch::OwnedBatch;
use crate::support::random::Recipe;

/// Batches of different shapes, so that plans and sessions come and go.
fn batches() -> Vec<OwnedBatch> {
    (0..6)
        .map(|seed| {
            let recipe = Recipe {
                weights: true,
                ..Recipe::new([3, 20 + 5 * (seed % 3), 9], 5)
            };
            recipe.batch(seed as u64)
        })
        .collect()
}

/// Losses, gradients, status and one number over all of them.
fn options() -> Options {
    Options::default().reduction(ctc_wgpu::Reduction::Sum)
}
