//! Compares results with the rows of the table.

use super::{Expected, ExpectedItem, Grad, Loss, SemanticsCase};
use crate::brute_force;
use crate::check::{AllowedError, Computed, Failures, Tolerance, close, well_formed};
use ctc_wgpu::Error;

impl SemanticsCase {
    /// Compares a result with what the row requires, and adds what differs to `failures`.
    pub fn check(
        &self,
        computed: &Result<Computed, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let name = self.name;
        let (items, reduced) = match (&self.expected, computed) {
            (Expected::Error(is, expected), Err(error)) => {
                failures.check(is(error), || {
                    format!("{name}: wrong kind of error: {error:?}")
                });
                let message = error.to_string();
                return failures.check(message == *expected, || {
                    format!("{name}: error message `{message}`, expected `{expected}`")
                });
            }
            (Expected::Error(_, expected), Ok(computed)) => {
                return failures.check(false, || {
                    format!("{name}: {computed:?}, expected the error `{expected}`")
                });
            }
            (_, Err(error)) => return failures.check(false, || format!("{name}: error {error}")),
            (Expected::Items(items), Ok(_)) => (items, None),
            (Expected::Reduced(items, reduced), Ok(_)) => (items, Some(*reduced)),
        };
        let Ok(computed) = computed else { return };
        failures.check(items.len() == computed.loss.len(), || {
            format!("{name}: {} losses", computed.loss.len())
        });
        if !well_formed(name, &self.batch, computed, failures) {
            return;
        }
        if let Some(expected) = reduced {
            let got = computed.reduced.unwrap_or(f64::INFINITY);
            failures.check(close(got, expected, tolerance.loss), || {
                format!("{name}: reduced {got}, expected {expected}")
            });
        }
        for (n, item) in items.iter().enumerate() {
            self.item(n, item, computed, tolerance, failures);
        }
    }

    fn item(
        &self,
        n: usize,
        item: &ExpectedItem,
        computed: &Computed,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        let enumerated = matches!(item.loss, Loss::Enumerated)
            || matches!(item.grad, Grad::Enumerated | Grad::Scaled(_));
        let counted =
            enumerated.then(|| brute_force::loss_and_grad(&self.batch.alone(n), &self.options));
        let name = format!("{} item {n}", self.name);
        let (loss, status) = (computed.loss[n], computed.status[n]);
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
        failures.loss(
            loss,
            expected,
            AllowedError::of_exact(tolerance.loss),
            || name.clone(),
        );
        if let Loss::Zero = item.loss {
            failures.check(loss.to_bits() == 0, || {
                format!("{name}: loss {loss:?}, expected exactly +0")
            });
        }
        let frames = 0..self.batch.frames();
        let classes = self.batch.classes();
        let grad: Vec<f64> = frames
            .flat_map(|t| computed.grad[self.batch.row(n, t)..][..classes].to_vec())
            .collect();
        let counted = counted.map(|(_, grad)| grad);
        let valid_elements = self.batch.valid_frames(n) * classes;
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
            (Grad::Nan | Grad::Enumerated | Grad::Scaled(_), _) => vec![f64::NAN; valid_elements],
        };
        for (at, (got, expected)) in grad.iter().zip(&expected).enumerate() {
            let (frame, class) = (at / classes, at % classes);
            failures.grad(
                *got,
                *expected,
                AllowedError::of_exact(tolerance.grad),
                || format!("{name} frame {frame} class {class}"),
            );
        }
    }
}

/// Checks that all magnitudes are at most 1 and that each frame sums to 0.
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
