//! Tests of the loss on Burn's backends: values and gradients compared with the float64 reference
//! and with Burn's own loss, devices, training, and that the GPU path does not wait.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot continue fails"
)]

mod agreement;
mod devices;
mod extreme;
mod learner;
mod support;
mod zero_copy;
