//! What comes out.

use crate::options::Status;
use crate::problem::Shape;

/// The loss of each item, and what became of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LossOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the [`Reduction`](crate::Reduction) asks for; `None` with `Reduction::None`.
    pub reduced: Option<f32>,
}

/// The loss of each item and the gradient.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CtcOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// The gradient of the reduced loss with respect to the input, in the input's shape and layout.
    pub grad: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the [`Reduction`](crate::Reduction) asks for; `None` with `Reduction::None`.
    pub reduced: Option<f32>,
}

/// What either execution answers; without a gradient where none was asked for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) loss: Vec<f32>,
    pub(crate) grad: Vec<f32>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f32>,
}

impl Answer {
    /// Room for the answer to a batch of this shape.
    pub(crate) fn empty(shape: &Shape) -> Self {
        Self {
            loss: Vec::with_capacity(shape.items),
            grad: Vec::new(),
            status: Vec::with_capacity(shape.items),
            reduced: None,
        }
    }
}

impl From<Answer> for LossOutput {
    fn from(answer: Answer) -> Self {
        Self {
            loss: answer.loss,
            status: answer.status,
            reduced: answer.reduced,
        }
    }
}

impl From<Answer> for CtcOutput {
    fn from(answer: Answer) -> Self {
        Self {
            loss: answer.loss,
            grad: answer.grad,
            status: answer.status,
            reduced: answer.reduced,
        }
    }
}
