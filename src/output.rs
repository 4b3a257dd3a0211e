//! Results of a loss.

use crate::options::Status;

/// The loss and the status of each item. The crate's table of [semantics](crate#semantics) has the
/// values for each status.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LossOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// The status of each item, `[N]`.
    pub status: Vec<Status>,
    /// The reduced loss; `None` with [`Reduction::None`](crate::Reduction::None).
    pub reduced: Option<f32>,
}

/// The loss and the status of each item, and the gradient. The crate's table of
/// [semantics](crate#semantics) has the values for each status.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LossAndGradOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// The gradient with respect to the input, in the input's shape and layout: of the reduced
    /// loss, or of Σ weight·loss with [`Reduction::None`](crate::Reduction::None). Exactly 0 in
    /// frames past an item's length.
    pub grad: Vec<f32>,
    /// The status of each item, `[N]`.
    pub status: Vec<Status>,
    /// The reduced loss; `None` with [`Reduction::None`](crate::Reduction::None).
    pub reduced: Option<f32>,
}

/// The result of either backend; the gradient is empty if the task computes none. A backend
/// receives it empty, with the memory of an earlier output if the caller supplied one, and fills
/// it.
#[derive(Debug, Default)]
pub(crate) struct RawOutput {
    pub(crate) loss: Vec<f32>,
    pub(crate) grad: Vec<f32>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f32>,
}

impl RawOutput {
    /// Resizes the gradient to `elements` elements of unspecified value.
    pub(crate) fn resize_grad(&mut self, elements: usize) {
        if self.grad.capacity() < elements {
            // The system supplies zeroed pages; `resize` would write every zero.
            self.grad = vec![0.0; elements];
        } else {
            self.grad.resize(elements, 0.0);
        }
    }
}

impl From<LossOutput> for RawOutput {
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

impl From<LossAndGradOutput> for RawOutput {
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

impl From<RawOutput> for LossOutput {
    fn from(raw: RawOutput) -> Self {
        Self {
            loss: raw.loss,
            status: raw.status,
            reduced: raw.reduced,
        }
    }
}

impl From<RawOutput> for LossAndGradOutput {
    fn from(raw: RawOutput) -> Self {
        Self {
            loss: raw.loss,
            grad: raw.grad,
            status: raw.status,
            reduced: raw.reduced,
        }
    }
}
