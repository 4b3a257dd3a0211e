//! Tests that run on every adapter found, and fail where there is none.

#[path = "../support/mod.rs"]
mod support;

mod conformance;
