//! Shared by the benchmarks of `ctc-wgpu`: batches with the same numbers on every machine, a device
//! with a batch that stays on it, and the check that a timed result is right.
//!
//! With `default-features = false` there are only the modules that do not use the library:
//! [`seeded`] and [`trained`].

#[cfg(feature = "batches")]
pub mod inputs;
#[cfg(feature = "batches")]
pub mod resident;
pub mod seeded;
pub mod trained;
#[cfg(feature = "batches")]
pub mod truth;
