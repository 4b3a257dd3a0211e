//! Results of a backend in float64, their tolerances, and the list of failed checks.

use ctc_wgpu::reference::ReferenceOutput;
use ctc_wgpu::{LossAndGradOutput, Status};

use super::batch::OwnedBatch;

/// The result of a backend, converted to float64.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// The losses in nats, `[N]`.
    pub loss: Vec<f64>,
    /// The gradient, in the order of the batch's values.
    pub grad: Vec<f64>,
    /// The status of each item, `[N]`.
    pub status: Vec<Status>,
    /// The reduced loss, if the options have a reduction.
    pub reduced: Option<f64>,
}

impl From<LossAndGradOutput> for Computed {
    fn from(output: LossAndGradOutput) -> Self {
        Self {
            loss: output.loss.into_iter().map(f64::from).collect(),
            grad: output.grad.into_iter().map(f64::from).collect(),
            status: output.status,
            reduced: output.reduced.map(f64::from),
        }
    }
}

impl From<ReferenceOutput> for Computed {
    fn from(output: ReferenceOutput) -> Self {
        let ReferenceOutput {
            loss,
            grad,
            status,
            reduced,
            ..
        } = output;
        Self {
            loss,
            grad,
            status,
            reduced,
        }
    }
}

/// The largest error allowed, relative to max(1, |expected|).
///
/// For a gradient with respect to logits the tolerance is effectively absolute, because no element
/// is larger than the item's weight. An element of the gradient with respect to probabilities is
/// 1/Σ(p + ε) − γ/(p + ε). The probabilities sum to about one, so the first term is about one. The
/// second term reaches 1/ε = 1e7 and has the relative error of γ, so large elements need a relative
/// tolerance. The terms cancel only where both are about one, so an absolute tolerance is enough
/// for small elements.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// The tolerance of a loss.
    pub loss: f64,
    /// The tolerance of an element of a gradient.
    pub grad: f64,
}

impl Tolerance {
    /// The accuracy that the crate guarantees for its f32 backends.
    pub const F32: Self = Self {
        loss: 1e-6,
        grad: 1e-5,
    };
    /// The difference between two float64 recursions in the log domain that add in different
    /// orders. At a loss of 1e4 one ulp is 2e-12, and the errors of thousands of frames add up.
    pub const F64: Self = Self {
        loss: 1e-9,
        grad: 1e-9,
    };
}

/// Returns true if both are NaN, both are the same infinity, or they differ by at most
/// `tolerance · max(1, |expected|)`.
pub fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() {
        return got.is_nan();
    }
    // Relative to an infinite number, the tolerance would be infinite and accept everything.
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}

/// The failed checks of some cases, and the largest deviations of their numbers.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    list: Vec<String>,
    checks: usize,
    worst: Option<MaxDeviation>,
}

/// The largest deviations from the expected numbers, relative to max(1, |expected|). A deviation is
/// infinite if one of the two numbers is infinite or NaN and the other is not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MaxDeviation {
    /// The largest deviation of a loss.
    pub loss: f64,
    /// The largest deviation of an element of the gradient, divided by the largest weight of its
    /// batch if that is above 1.
    pub grad: f64,
}

impl MaxDeviation {
    /// Returns the larger of the two deviations of losses, and of those of gradients.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            loss: self.loss.max(other.loss),
            grad: self.grad.max(other.grad),
        }
    }
}

/// The error that a comparison allows: `(tolerance + accuracy) · scale`, relative to
/// max(1, |expected|).
#[derive(Debug, Clone, Copy)]
pub struct AllowedError {
    /// The tolerance of the backend.
    pub tolerance: f64,
    /// The error of the expected number itself.
    pub accuracy: f64,
    /// For a gradient, the largest weight of the batch or 1, whichever is larger; for a loss, 1.
    pub scale: f64,
}

impl AllowedError {
    /// Returns the allowed error for an expected number that is exact.
    #[must_use]
    pub fn of_exact(tolerance: f64) -> Self {
        Self {
            tolerance,
            accuracy: 0.0,
            scale: 1.0,
        }
    }

    fn allows(self, got: f64, expected: f64) -> bool {
        close(got, expected, (self.tolerance + self.accuracy) * self.scale)
    }

    /// Returns the part of the deviation that the expected number's own error does not explain.
    fn deviation(self, got: f64, expected: f64) -> f64 {
        if close(got, expected, 0.0) {
            return 0.0;
        }
        let off = (got - expected).abs() / expected.abs().max(1.0) / self.scale;
        if off.is_finite() {
            (off - self.accuracy).max(0.0)
        } else {
            f64::INFINITY
        }
    }
}

/// The number of failures that are listed per case. A wrong kernel usually fails in every element.
const SHOWN: usize = 4;

impl Failures {
    /// Counts a check, and adds `message` to the failures if it failed.
    pub fn check(&mut self, right: bool, message: impl FnOnce() -> String) {
        self.checks += 1;
        if !right {
            self.list.push(message());
        }
    }

    /// Compares a loss with the expected one. `location` names the case and the item, for the
    /// message.
    pub fn loss(
        &mut self,
        got: f64,
        expected: f64,
        allowed: AllowedError,
        location: impl FnOnce() -> String,
    ) {
        let loss = allowed.deviation(got, expected);
        self.measured(MaxDeviation { loss, grad: 0.0 });
        self.check(allowed.allows(got, expected), || {
            format!("{}: loss {got:e}, expected {expected:e}", location())
        });
    }

    /// Compares an element of a gradient with the expected one. `location` names the case and the
    /// element, for the message.
    pub fn grad(
        &mut self,
        got: f64,
        expected: f64,
        allowed: AllowedError,
        location: impl FnOnce() -> String,
    ) {
        let grad = allowed.deviation(got, expected);
        self.measured(MaxDeviation { loss: 0.0, grad });
        self.check(allowed.allows(got, expected), || {
            format!("{}: gradient {got:e}, expected {expected:e}", location())
        });
    }

    fn measured(&mut self, worst: MaxDeviation) {
        self.worst = Some(self.worst.unwrap_or_default().or(worst));
    }

    /// Returns true if no check has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the messages of the failed checks.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.list
    }

    /// Returns the number of checks.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// Returns the largest deviations, including those within the tolerance; `None` if no numbers
    /// were compared.
    #[must_use]
    pub fn worst(&self) -> Option<MaxDeviation> {
        self.worst
    }

    /// Adds the checks of one case, and the first few of its failures.
    pub fn case(&mut self, case: Self) {
        self.checks += case.checks;
        if let Some(worst) = case.worst {
            self.measured(worst);
        }
        let more = case.list.len().saturating_sub(SHOWN);
        self.list.extend(case.list.into_iter().take(SHOWN));
        if more > 0 {
            self.list
                .push(format!("    … and {more} more in this case"));
        }
    }

    /// Returns `Ok` if there were checks and none failed.
    ///
    /// # Errors
    /// The failures, one per line, or that there were no checks.
    pub fn finish(self, what: &str) -> Result<(), String> {
        let (wrong, checks) = (self.list.len(), self.checks);
        if checks == 0 {
            return Err(format!("{what}: nothing was checked"));
        }
        if wrong == 0 {
            return Ok(());
        }
        let list = self.list.join("\n");
        Err(format!("{what}: {wrong} of {checks} checks failed\n{list}"))
    }
}

/// Checks what must be true of every result: the lengths of its arrays, no loss of −0, and a
/// gradient of exactly 0 in the frames past each item's length. Returns false if a length is wrong,
/// because the arrays cannot be compared then.
pub fn well_formed(
    name: &str,
    batch: &OwnedBatch,
    computed: &Computed,
    failures: &mut Failures,
) -> bool {
    let [items, frames, _] = batch.dims;
    let lengths = [
        computed.loss.len(),
        computed.status.len(),
        computed.grad.len(),
    ];
    failures.check(lengths == [items, items, batch.values.len()], || {
        format!("{name}: lengths of loss, status and gradient are {lengths:?}")
    });
    if lengths != [items, items, batch.values.len()] {
        return false;
    }
    for (item, loss) in computed.loss.iter().enumerate() {
        failures.check(loss.to_bits() != (-0.0_f64).to_bits(), || {
            format!("{name} item {item}: loss is −0")
        });
        for frame in batch.valid_frames(item)..frames {
            let row = &computed.grad[batch.row(item, frame)..][..batch.classes()];
            failures.check(row.iter().all(|g| *g == 0.0), || {
                format!(
                    "{name} item {item} frame {frame}: past the item's length, but its gradient is {row:?}"
                )
            });
        }
    }
    true
}
