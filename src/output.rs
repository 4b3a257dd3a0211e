//! What comes out.

use crate::options::Status;

/// The loss of each item, and what became of it.
#[derive(Debug, Clone, Default, PartialEq)]
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
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LossAndGradOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// The gradient of the reduced loss with respect to the input, in the input's shape and layout.
    pub grad: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the [`Reduction`](crate::Reduction) asks for; `None` with `Reduction::None`.
    pub reduced: Option<f32>,
}

/// What either execution answers; without a gradient where none was asked for. It begins empty, with the memory of an
/// answer before, if there was one.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) loss: Vec<f32>,
    pub(crate) grad: Vec<f32>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f32>,
}

impl Answer {
    /// Gives the gradient this many elements, whatever they are.
    pub(crate) fn resize_grad(&mut self, elements: usize) {
        if self.grad.capacity() < elements {
            // Zeroed pages from the system, where `resize` would write every zero.
            self.grad = vec![0.0; elements];
        } else {
            self.grad.resize(elements, 0.0);
        }
    }
}

impl From<LossOutput> for Answer {
    fn from(mut used: LossOutput) -> Self {
        used.loss.clear();
        used.status.clear();
        Self {
            loss: used.loss,
            status: used.status,
            ..Self::default()
        }
    }
}

impl From<LossAndGradOutput> for Answer {
    fn from(mut used: LossAndGradOutput) -> Self {
        used.loss.clear();
        used.status.clear();
        Self {
            loss: used.loss,
            grad: used.grad,
            status: used.status,
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

impl From<Answer> for LossAndGradOutput {
    fn from(answer: Answer) -> Self {
        Self {
            loss: answer.loss,
            grad: answer.grad,
            status: answer.status,
            reduced: answer.reduced,
        }
    }
}
