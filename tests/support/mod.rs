//! What the tests on the host and the tests on adapters share: batches, golden cases, the table of semantics, an
//! enumeration of all paths, and the checks that hold any backend against them.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test that panics has failed, and its numbers are small"
)]

pub(crate) mod adapters;
pub(crate) mod batch;
pub(crate) mod brute;
pub(crate) mod check;
pub(crate) mod device;
pub(crate) mod extreme;
pub(crate) mod golden;
pub(crate) mod ocr;
pub(crate) mod properties;
pub(crate) mod random;
pub(crate) mod semantics;
