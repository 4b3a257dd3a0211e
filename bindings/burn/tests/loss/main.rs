//! The loss on Burn's backends: against the float64 reference, against Burn's own, and without a wait.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod agreement;
mod beyond;
mod devices;
mod learner;
mod support;
mod zero_copy;
