//! Runs the tool `ctc-wgpu` and checks its output, the files that it writes and its exit status.
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
mod claimed_sizes;
mod decode_align;
mod formats;
mod outputs;
mod pipeline_cache;
mod reports;
mod support;
mod validate;
