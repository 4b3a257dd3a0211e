//! What an answer is held against before it is timed: no figure for a wrong answer.

use ctc_wgpu::{Ctc, Error, Options, reference};

use super::inputs::Inputs;

/// Past this many elements the reference's float64 tables are larger than many a machine's memory.
const LARGEST_FOR_REFERENCE: usize = 10_000_000;

/// How far an answer may be from the truth: the crate's promise.
const LOSS_TOLERANCE: f64 = 1e-6;
const GRAD_TOLERANCE: f64 = 1e-5;

/// The losses and the gradient of a batch.
pub(crate) struct Truth {
    loss: Vec<f64>,
    grad: Vec<f64>,
}

impl Truth {
    /// By the float64 reference for as many items as it can hold, by the CPU backend, which those hold to the reference, for
    /// the rest.
    pub(crate) fn of(inputs: &Inputs) -> Result<Self, Error> {
        let (shape, options) = (&inputs.shape, Options::default());
        let most = LARGEST_FOR_REFERENCE / (shape.frames * shape.classes).max(1);
        let judged = most.clamp(1, shape.items);
        let exact = reference::loss_and_grad(&inputs.part(0..judged), &options)?;
        let (mut loss, mut grad) = (exact.loss, exact.grad);
        if judged < shape.items {
            let rest = Ctc::cpu().loss_and_grad(&inputs.part(judged..shape.items), &options)?;
            loss.extend(rest.loss.into_iter().map(f64::from));
            grad.extend(rest.grad.into_iter().map(f64::from));
        }
        Ok(Self { loss, grad })
    }

    /// Whether an answer is right; if not, the first value that is off.
    pub(crate) fn check(&self, loss: &[f32], grad: Option<&[f32]>) -> Result<(), String> {
        check("loss", loss, &self.loss, |truth| {
            LOSS_TOLERANCE * truth.max(1.0)
        })?;
        match grad {
            Some(grad) => check("gradient", grad, &self.grad, |_| GRAD_TOLERANCE),
            None => Ok(()),
        }
    }
}

fn check(
    what: &str,
    found: &[f32],
    truth: &[f64],
    tolerance: impl Fn(f64) -> f64,
) -> Result<(), String> {
    if found.len() != truth.len() {
        let (found, truth) = (found.len(), truth.len());
        return Err(format!("{what}: {found} values, not {truth}"));
    }
    for (at, (&found, &truth)) in found.iter().zip(truth).enumerate() {
        // Not `error > tolerance`: a NaN must fail.
        let near = (f64::from(found) - truth).abs() <= tolerance(truth);
        if !near {
            return Err(format!("{what}: {found} at {at}, not {truth}"));
        }
    }
    Ok(())
}
