//! The tool `ctc-wgpu` as a user runs it: what it prints, what it writes and how it exits.
#![expect(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and reads f32 back from f64"
)]

mod bad_files;
mod batches;
mod bench;
mod bench_device;
mod kept;
mod reading;
mod reports;
mod support;
mod validate;
