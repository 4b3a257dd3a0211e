//! Tests that run on every adapter of the machine, and fail if there are none.

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

mod awaited;
mod buffer_errors;
mod caches;
mod conformance;
mod decode;
mod faults;
mod first_use;
mod host_path;
mod label_links;
mod launches;
mod limits;
mod loop_iterations;
mod malformed;
mod properties;
mod row_gradient;
mod stages;
mod variants;
mod zero_copy;
