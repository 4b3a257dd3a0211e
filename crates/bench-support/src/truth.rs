//! Checks the result of a batch that is timed: a wrong result gets no figure.

use ctc_wgpu::{Ctc, Error, Options, reference};

use crate::inputs::Inputs;

/// Above this many elements, the reference's float64 arrays exceed the memory of common machines.
const LARGEST_FOR_REFERENCE: usize = 10_000_000;

/// The tolerances that the crate promises.
const LOSS_TOLERANCE: f64 = 1e-6;
const GRAD_TOLERANCE: f64 = 1e-5;

/// The expected losses and gradient of a batch.
pub struct Truth {
    loss: Vec<f64>,
    grad: Vec<f64>,
}

impl Truth {
    /// Computes the first items with the float64 reference, as many as fit its memory, and the rest
    /// with the CPU backend. The test suite compares the CPU backend with the reference.
    pub fn of(inputs: &Inputs) -> Result<Self, Error> {
        let (shape, options) = (&inputs.shape, Options::default());
        let max_items = LARGEST_FOR_REFERENCE / (shape.frames * shape.classes).max(1);
        let checked = max_items.clamp(1, shape.items);
        let exact = reference::loss_and_grad(&inputs.part(0..checked), &options)?;
        let (mut loss, mut grad) = (exact.loss, exact.grad);
        if checked < shape.items {
            let rest = Ctc::cpu().loss_and_grad(&inputs.part(checked..shape.items), &options)?;
            loss.extend(rest.loss.into_iter().map(f64::from));
            grad.extend(rest.grad.into_iter().map(f64::from));
        }
        Ok(Self { loss, grad })
    }

    /// Checks a result. The error names the first value outside the tolerance.
    pub fn check(&self, loss: &[f32], grad: Option<&[f32]>) -> Result<(), String> {
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
        // Not `error > tolerance`, since NaN must fail.
        let near = (f64::from(found) - truth).abs() <= tolerance(truth);
        if !near {
            return Err(format!("{what}: {found} at {at}, not {truth}"));
        }
    }
    Ok(())
}
