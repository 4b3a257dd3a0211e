//! Shared by the benchmarks of `ctc-wgpu`: batches with the same numbers on every machine, a device
//! with a batch that stays on it, and the check that a timed result is right.
//!
//! With `default-features = false`, only the modules that need no other crate: [`seeded`] and
//! [`trained`].

#[cfg(feature = "batches")]
pub mod inputs;
#[cfg(feature = "batches")]
pub mod resident;
pub mod seeded;
pub mod trained;
#[cfg(feature = "batches")]
pub mod truth;
