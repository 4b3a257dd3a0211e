//! Compares results with golden cases.

use super::{Expectation, Golden, Grad, lcg_units};
use crate::check::{AllowedError, Computed, Failures, Tolerance, close, well_formed};
use ctc_wgpu::Error;

impl Golden {
    /// Compares a result with each source of the case, and adds what differs to `failures`.
    pub fn check(
        &self,
        computed: &Result<Computed, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = &self.name;
        let computed = match computed {
            Ok(computed) => computed,
            Err(error) => return failures.check(false, || format!("{name}: error {error}")),
        };
        if !well_formed(name, &self.batch, computed, failures) {
            return;
        }
        failures.check(computed.status == self.status, || {
            format!(
                "{name}: status {:?}, expected {:?}",
                computed.status, self.status
            )
        });
        for expectation in &self.expectations {
            self.compare(expectation, computed, tolerance, failures);
        }
    }

    fn compare(
        &self,
        expectation: &Expectation,
        computed: &Computed,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = format!("{} ({})", self.name, expectation.source);
        let accuracy = expectation.accuracy;
        let of_loss = AllowedError {
            accuracy: accuracy.loss,
            ..AllowedError::of_exact(tolerance.loss)
        };
        for (item, expected) in expectation.loss.iter().enumerate() {
            let Some(expected) = *expected else { continue };
            let got = computed.loss.get(item).copied().unwrap_or(f64::NAN);
            failures.loss(got, expected, of_loss, || format!("{name} item {item}"));
        }
        if let Some(expected) = expectation.reduced {
            let got = computed.reduced.unwrap_or(f64::NAN);
            failures.check(close(got, expected, tolerance.loss + accuracy.loss), || {
                format!("{name}: reduced {got:e}, expected {expected:e}")
            });
        }
        let of_grad = AllowedError {
            accuracy: accuracy.grad,
            scale: self.batch.largest_weight(),
            ..AllowedError::of_exact(tolerance.grad)
        };
        let location = |at: usize| {
            let [item, frame, class] = self.batch.position(at);
            format!("{name} item {item} frame {frame} class {class}")
        };
        match &expectation.grad {
            Grad::NotGiven => {}
            Grad::Full(expected) => {
                failures.check(expected.len() == computed.grad.len(), || {
                    format!("{name}: wrong length of the gradient")
                });
                for (at, (got, expected)) in computed.grad.iter().zip(expected).enumerate() {
                    let Some(expected) = *expected else { continue };
                    failures.grad(*got, expected, of_grad, || location(at));
                }
            }
            Grad::Sampled {
                sample,
                abs_sum,
                checksum,
            } => {
                for &(at, expected) in sample {
                    failures.grad(computed.grad[at], expected, of_grad, || location(at));
                }
                // The errors of the elements add up in a sum, so the tolerance is relative to Σ|g|.
                let tolerance = (tolerance.grad + accuracy.grad) * of_grad.scale;
                let sum: f64 = computed.grad.iter().map(|g| g.abs()).sum();
                failures.check(close(sum, *abs_sum, tolerance), || {
                    format!("{name}: sum of |gradient| {sum}, expected {abs_sum}")
                });
                if let Some(expected) = *checksum {
                    let got: f64 = lcg_units(12345)
                        .zip(&computed.grad)
                        .map(|(w, g)| w * g)
                        .sum();
                    failures.check(
                        (got - expected).abs() <= tolerance * abs_sum.max(1.0),
                        || format!("{name}: checksum {got}, expected {expected}"),
                    );
                }
            }
        }
    }
}
