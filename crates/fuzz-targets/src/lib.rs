//! The fuzzing targets as functions of the bytes of an input; `fuzz/README.md` describes them.

#![allow(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a target that panics has found a fault, and its numbers are small"
)]

mod bytes;
pub mod checked_batch;
pub mod cpu_backend;
mod options;
pub mod read_batch_file;
