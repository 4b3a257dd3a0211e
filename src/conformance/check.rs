//! What an answer is, how far off it may be, and the list of what is wrong.

use crate::reference::ReferenceOutput;
use crate::{LossAndGradOutput, Status};

use super::batch::OwnedBatch;

/// What a backend answers, in float64.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In nats, `[N]`.
    pub loss: Vec<f64>,
    /// In the order of the batch's values.
    pub grad: Vec<f64>,
    /// `[N]`
    pub status: Vec<Status>,
    /// The reduced loss, where one was asked for.
    pub reduced: Option<f64>,
}

impl From<LossAndGradOutput> for Answer {
    fn from(output: LossAndGradOutput) -> Self {
        Self {
            loss: output.loss.into_iter().map(f64::from).collect(),
            grad: output.grad.into_iter().map(f64::from).collect(),
            status: output.status,
            reduced: output.reduced.map(f64::from),
        }
    }
}

impl From<ReferenceOutput> for Answer {
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

/// How far off a number may be: both are relative above 1, and absolute below.
///
/// For a gradient with respect to logits that is absolute, since none is larger than the item's weight. With respect to
/// probabilities it is (softmax − γ)/(p + ε), whose terms reach 1/ε = 1e7: what a relative error of γ makes of them is
/// relative too, and where the two terms cancel they are of the order of 1, as the probabilities sum to about 1.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Of a loss.
    pub loss: f64,
    /// Of an element of a gradient.
    pub grad: f64,
}

impl Tolerance {
    /// What the crate promises of its f32 backends.
    pub const F32: Self = Self {
        loss: 1e-6,
        grad: 1e-5,
    };
    /// Two float64 log-domain recursions that add in different orders: at a loss of 1e4 an ulp is 2e-12, and thousands
    /// of frames add theirs up.
    pub const F64: Self = Self {
        loss: 1e-9,
        grad: 1e-9,
    };
}

/// Whether `got` is `expected`: NaN for NaN, the same infinity, or within `tolerance · max(1, |expected|)`.
pub fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() {
        return got.is_nan();
    }
    // An infinite tolerance would let everything pass for an infinite number.
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}

/// What was wrong in some cases, and how far off their numbers were.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    list: Vec<String>,
    checks: usize,
    worst: Option<Worst>,
}

/// The largest deviations: relative above 1, and absolute below. Infinite where a number is missing, or where none should be.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Worst {
    /// Of a loss.
    pub loss: f64,
    /// Of an element of the gradient, by the item's weight where that is above 1.
    pub grad: f64,
}

impl Worst {
    /// The worse of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            loss: self.loss.max(other.loss),
            grad: self.grad.max(other.grad),
        }
    }
}

/// By how much a number may be off, relative above 1.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// What is asked of the backend; for a gradient to be multiplied by `scale`.
    pub tolerance: f64,
    /// How good the expected number itself is.
    pub accuracy: f64,
    /// The largest weight, from 1 on, by which the error of a gradient grows.
    pub scale: f64,
}

impl Allowed {
    /// Of an expected number that is exact.
    #[must_use]
    pub fn exactly(tolerance: f64) -> Self {
        Self {
            tolerance,
            accuracy: 0.0,
            scale: 1.0,
        }
    }

    fn holds(self, got: f64, expected: f64) -> bool {
        close(got, expected, (self.tolerance + self.accuracy) * self.scale)
    }

    /// What of a deviation is the backend's.
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

/// A wrong kernel is wrong everywhere: the first few places of a case tell enough.
const SHOWN: usize = 4;

impl Failures {
    /// Counts a check, with what to say if it failed.
    pub fn check(&mut self, right: bool, message: impl FnOnce() -> String) {
        self.checks += 1;
        if !right {
            self.list.push(message());
        }
    }

    /// A loss against the expected one.
    pub fn loss(
        &mut self,
        got: f64,
        expected: f64,
        allowed: Allowed,
        place: impl FnOnce() -> String,
    ) {
        let loss = allowed.deviation(got, expected);
        self.measured(Worst { loss, grad: 0.0 });
        self.check(allowed.holds(got, expected), || {
            format!("{}: loss {got:e}, expected {expected:e}", place())
        });
    }

    /// An element of a gradient against the expected one.
    pub fn grad(
        &mut self,
        got: f64,
        expected: f64,
        allowed: Allowed,
        place: impl FnOnce() -> String,
    ) {
        let grad = allowed.deviation(got, expected);
        self.measured(Worst { loss: 0.0, grad });
        self.check(allowed.holds(got, expected), || {
            format!("{}: gradient {got:e}, expected {expected:e}", place())
        });
    }

    fn measured(&mut self, worst: Worst) {
        self.worst = Some(self.worst.unwrap_or_default().or(worst));
    }

    /// Whether all was right so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What was wrong.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.list
    }

    /// How many checks there were.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// The largest deviations so far, whether they were too large or not; none if nothing was measured.
    #[must_use]
    pub fn worst(&self) -> Option<Worst> {
        self.worst
    }

    /// Adds the failures of one case, cut to the first few.
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

    /// Nothing, if there were checks and all held.
    ///
    /// # Errors
    /// All that was wrong, in lines; or that nothing was checked.
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

/// What holds of every answer: its lengths, no loss of −0, and exactly 0 in the frames past each item's length. False
/// where the lengths are wrong, so that nothing else can be looked at.
pub fn well_formed(
    name: &str,
    batch: &OwnedBatch,
    answer: &Answer,
    failures: &mut Failures,
) -> bool {
    let [items, frames, _] = batch.dims;
    let lengths = [answer.loss.len(), answer.status.len(), answer.grad.len()];
    failures.check(lengths == [items, items, batch.values.len()], || {
        format!("{name}: lengths of loss, status and gradient are {lengths:?}")
    });
    if lengths != [items, items, batch.values.len()] {
        return false;
    }
    for (item, loss) in answer.loss.iter().enumerate() {
        failures.check(loss.to_bits() != (-0.0_f64).to_bits(), || {
            format!("{name} item {item}: loss {loss:?} has a minus")
        });
        for frame in batch.counting(item)..frames {
            let row = &answer.grad[batch.row(item, frame)..][..batch.classes()];
            failures.check(row.iter().all(|g| *g == 0.0), || {
                format!(
                    "{name} item {item} frame {frame}: past the length, but the gradient is {row:?}"
                )
            });
        }
    }
    true
}
