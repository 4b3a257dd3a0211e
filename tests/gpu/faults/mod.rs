//! Failures outside of the kernels: lost devices, full memory, concurrency, foreign work and slow
//! devices. Every call must return the right bits or an error that describes the failure. None may
//! panic or wait forever.

mod concurrency;
mod foreign_work;
mod isolation;
mod lost;
mod memory;
mod slow;

use ctc_wgpu::Options;

use crate::support::batch::OwnedBatch;
use crate::support::random::BatchSpec;

/// Returns batches of different shapes, so that cached plans and buffers are replaced.
fn batches() -> Vec<OwnedBatch> {
    (0..6)
        .map(|seed| {
            let spec = BatchSpec {
                weights: true,
                ..BatchSpec::new([3, 20 + 5 * (seed % 3), 9], 5)
            };
            spec.batch(seed as u64)
        })
        .collect()
}

/// Returns options with a reduction, so that all outputs are computed.
fn options() -> Options {
    Options::default().reduction(ctc_wgpu::Reduction::Sum)
}
