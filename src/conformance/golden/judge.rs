//! One golden case against an answer.

use super::{Expectation, Golden, Grad, lcg_units};
use crate::Error;
use crate::conformance::check::{Allowed, Answer, Failures, Tolerance, close, well_formed};

impl Golden {
    /// Holds an answer against each of the case's sources.
    pub fn judge(
        &self,
        answer: &Result<Answer, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = &self.name;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return failures.check(false, || format!("{name}: error {error}")),
        };
        if !well_formed(name, &self.batch, answer, failures) {
            return;
        }
        failures.check(answer.status == self.status, || {
            format!(
                "{name}: status {:?}, expected {:?}",
                answer.status, self.status
            )
        });
        for expectation in &self.expectations {
            self.compare(expectation, answer, tolerance, failures);
        }
    }

    fn compare(
        &self,
        expectation: &Expectation,
        answer: &Answer,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = format!("{} ({})", self.name, expectation.source);
        let accuracy = expectation.accuracy;
        let of_loss = Allowed {
            accuracy: accuracy.loss,
            ..Allowed::exactly(tolerance.loss)
        };
        for (item, expected) in expectation.loss.iter().enumerate() {
            let Some(expected) = *expected else { continue };
            let got = answer.loss.get(item).copied().unwrap_or(f64::NAN);
            failures.loss(got, expected, of_loss, || format!("{name} item {item}"));
        }
        if let Some(expected) = expectation.reduced {
            let got = answer.reduced.unwrap_or(f64::NAN);
            failures.check(close(got, expected, tolerance.loss + accuracy.loss), || {
                format!("{name}: reduced {got:e}, expected {expected:e}")
            });
        }
        let of_grad = Allowed {
            accuracy: accuracy.grad,
            scale: self.batch.largest_weight(),
            ..Allowed::exactly(tolerance.grad)
        };
        let place = |at: usize| {
            let [item, frame, class] = self.batch.place(at);
            format!("{name} item {item} frame {frame} class {class}")
        };
        match &expectation.grad {
            Grad::NotGiven => {}
            Grad::Full(expected) => {
                failures.check(expected.len() == answer.grad.len(), || {
                    format!("{name}: gradient's length")
                });
                for (at, (got, expected)) in answer.grad.iter().zip(expected).enumerate() {
                    let Some(expected) = *expected else { continue };
                    failures.grad(*got, expected, of_grad, || place(at));
                }
            }
            Grad::Sampled {
                sample,
                abs_sum,
                checksum,
            } => {
                for &(at, expected) in sample {
                    failures.grad(answer.grad[at], expected, of_grad, || place(at));
                }
                // Sums of all elements: their errors add up as the elements do, so the tolerance is relative to that sum.
                let tolerance = (tolerance.grad + accuracy.grad) * of_grad.scale;
                let sum: f64 = answer.grad.iter().map(|g| g.abs()).sum();
                failures.check(close(sum, *abs_sum, tolerance), || {
                    format!("{name}: sum of |gradient| {sum}, expected {abs_sum}")
                });
                if let Some(expected) = *checksum {
                    let got: f64 = lcg_units(12345).zip(&answer.grad).map(|(w, g)| w * g).sum();
                    failures.check(
                        (got - expected).abs() <= tolerance * abs_sum.max(1.0),
                        || format!("{name}: checksum {got}, expected {expected}"),
                    );
                }
            }
        }
    }
}
