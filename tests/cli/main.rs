//! The tool `ctc-wgpu` as a user runs it: what it prints, what it writes and how it exits.
#![expect(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and reads f32 back from f64"
)]

mod alphabets;
mod bad_files;
mod batches;
mod bench;
mod bench_device;
mod forms;
mod kept;
mod outputs;
mod reading;
mod reports;
mod sizes;
mod support;
mod validate;
