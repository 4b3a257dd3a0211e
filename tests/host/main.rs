//! Tests that pass on a machine without a GPU.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test that panics has failed, and its numbers are small"
)]

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod cpu_backend;
mod decode;
mod decode_input;
mod differences;
mod enumeration;
mod golden_files;
mod input_errors;
mod reference;
