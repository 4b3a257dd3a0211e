//! The textbook recursion in float64 logarithms: slow on purpose, independent of all the rest, the judge.

use crate::error::Error;
use crate::options::{Options, Status};
use crate::problem::Batch;

/// What the reference answers, in float64.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f64>,
    /// The gradient of the reduced loss with respect to the input, in the input's shape and layout.
    pub grad: Vec<f64>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the reduction asks for.
    pub reduced: Option<f64>,
}

/// Losses and gradient by the textbook.
pub fn loss_and_grad(batch: &Batch<'_>, options: &Options) -> Result<ReferenceOutput, Error> {
    let _ = (batch, options);
    Ok(ReferenceOutput {
        loss: vec![],
        grad: vec![],
        status: vec![],
        reduced: None,
    })
}
