//! A row of the table against an answer.

use super::{Expected, Grad, Item, Loss, Row};
use crate::Error;
use crate::conformance::brute;
use crate::conformance::check::{Allowed, Answer, Failures, Tolerance, close, well_formed};

impl Row {
    /// Holds an answer against what the row promises.
    pub fn judge(
        &self,
        answer: &Result<Answer, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = self.name;
        let (items, reduced) = match (&self.expected, answer) {
            (Expected::Error(is, says), Err(error)) => {
                failures.check(is(error), || format!("{name}: another error: {error:?}"));
                let message = error.to_string();
                return failures.check(message == *says, || {
                    format!("{name}: says `{message}`, expected `{says}`")
                });
            }
            (Expected::Error(_, says), Ok(answer)) => {
                return failures.check(false, || {
                    format!("{name}: {answer:?}, expected the error `{says}`")
                });
            }
            (_, Err(error)) => return failures.check(false, || format!("{name}: error {error}")),
            (Expected::Items(items), Ok(_)) => (items, None),
            (Expected::Reduced(items, reduced), Ok(_)) => (items, Some(*reduced)),
        };
        let Ok(answer) = answer else { return };
        failures.check(items.len() == answer.loss.len(), || {
            format!("{name}: {} losses", answer.loss.len())
        });
        if !well_formed(name, &self.batch, answer, failures) {
            return;
        }
        if let Some(expected) = reduced {
            let got = answer.reduced.unwrap_or(f64::INFINITY);
            failures.check(close(got, expected, tolerance.loss), || {
                format!("{name}: reduced {got}, expected {expected}")
            });
        }
        for (n, item) in items.iter().enumerate() {
            self.item(n, item, answer, tolerance, failures);
        }
    }

    fn item(
        &self,
        n: usize,
        item: &Item,
        answer: &Answer,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let enumerated = matches!(item.loss, Loss::Enumerated)
            || matches!(item.grad, Grad::Enumerated | Grad::Scaled(_));
        let counted = enumerated.then(|| brute::loss_and_grad(&self.batch.alone(n), &self.options));
        let name = format!("{} item {n}", self.name);
        let (loss, status) = (answer.loss[n], answer.status[n]);
        failures.check(status == item.status, || {
            format!("{name}: status {status:?}, expected {:?}", item.status)
        });
        let expected = match (item.loss, &counted) {
            (Loss::Exact(expected), _) => expected,
            (Loss::Enumerated, Some((expected, _))) => expected[0],
            (Loss::Zero, _) => 0.0,
            (Loss::Inf, _) => f64::INFINITY,
            (Loss::Nan | Loss::Enumerated, _) => f64::NAN,
        };
        failures.loss(loss, expected, Allowed::exactly(tolerance.loss), || {
            name.clone()
        });
        if let Loss::Zero = item.loss {
            failures.check(loss.to_bits() == 0, || {
                format!("{name}: loss {loss:?}, expected exactly +0")
            });
        }
        let frames = 0..self.batch.frames();
        let classes = self.batch.classes();
        let grad: Vec<f64> = frames
            .flat_map(|t| answer.grad[self.batch.row(n, t)..][..classes].to_vec())
            .collect();
        let counted = counted.map(|(_, grad)| grad);
        let counts = self.batch.counting(n) * classes;
        let expected = match (&item.grad, counted) {
            (Grad::Zero, _) => {
                return failures.check(grad.iter().all(|g| *g == 0.0), || {
                    format!("{name}: gradient {grad:?}, expected exactly 0")
                });
            }
            (Grad::Balanced, _) => return balanced(&name, &grad, classes, tolerance, failures),
            (Grad::Exact(expected), _) => expected.clone(),
            (Grad::Enumerated, Some(expected)) => expected,
            (Grad::Scaled(factor), Some(expected)) => expected.iter().map(|g| factor * g).collect(),
            (Grad::Nan | Grad::Enumerated | Grad::Scaled(_), _) => vec![f64::NAN; counts],
        };
        for (at, (got, expected)) in grad.iter().zip(&expected).enumerate() {
            let (frame, class) = (at / classes, at % classes);
            failures.grad(*got, *expected, Allowed::exactly(tolerance.grad), || {
                format!("{name} frame {frame} class {class}")
            });
        }
    }
}

/// Finite, no larger than 1, and each frame sums to 0.
fn balanced(
    name: &str,
    grad: &[f64],
    classes: usize,
    tolerance: Tolerance,
    failures: &mut Failures,
) {
    for (frame, g) in grad.chunks(classes).enumerate() {
        let sum: f64 = g.iter().sum();
        let inside = g.iter().all(|g| g.abs() <= 1.0 + tolerance.grad);
        failures.check(inside && sum.abs() <= tolerance.grad, || {
            format!("{name} frame {frame}: gradient sums to {sum}: {g:?}")
        });
    }
}
