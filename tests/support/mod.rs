//! Shared by the tests on the host and the tests on adapters: the library's conformance suite, with
//! a panic for each failure; the adapters of the machine; and the batches of a real network.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unused_imports, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a panic fails the test, and the numbers of tests are small"
)]

pub(crate) use ctc_wgpu_conformance::{
    batch, brute_force, buffer_layouts, decoding, extreme_values, golden, malformed, probe, random,
    random_case, semantics, special_values, variants,
};

pub(crate) mod adapters;
pub(crate) mod check;
pub(crate) mod device;
pub(crate) mod exponential;
pub(crate) mod occupancies;
pub(crate) mod ocr;
