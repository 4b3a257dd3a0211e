//! The loss on Burn's backends: against the float64 reference, against Burn's own, and without a wait.

mod agreement;
mod beyond;
mod devices;
mod learner;
mod support;
mod zero_copy;
