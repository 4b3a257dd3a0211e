//! The results of a test group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::check::{Failures, MaxDeviation};

/// The results of the cases of a family that ran through a variant.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of cases that ran.
    pub cases: usize,
    /// The largest deviations; `None` if only bits were compared.
    pub worst: Option<MaxDeviation>,
    /// The failures, one message each; the name of a random case contains its seed.
    pub failures: Vec<String>,
    /// True if each case gave the same bits when repeated and, for a variant that requires it, the
    /// bits of the run as planned.
    pub same_bits: bool,
    /// The elapsed time. It includes the reference's for cases that it computed for the first time.
    pub time: Duration,
}

impl Tally {
    /// Returns the sum of both results.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.cases += other.cases;
        self.measured(other.worst);
        self.failures.extend_from_slice(&other.failures);
        self.same_bits &= other.same_bits;
        self.time += other.time;
        self
    }

    fn measured(&mut self, worst: Option<MaxDeviation>) {
        self.worst = match (self.worst, worst) {
            (Some(a), Some(b)) => Some(a.or(b)),
            (a, b) => a.or(b),
        };
    }

    /// Adds the checks of a case, and the first few of its failures.
    pub(super) fn found(&mut self, found: Failures) {
        self.measured(found.worst());
        let mut shown = Failures::default();
        shown.case(found);
        self.failures.extend_from_slice(shown.list());
    }

    /// Returns a result with no cases.
    #[must_use]
    pub fn new() -> Self {
        Self {
            same_bits: true,
            ..Self::default()
        }
    }

    /// Returns the result of a variant that no case of the suite runs through.
    #[must_use]
    pub fn without_a_case() -> Self {
        Self {
            failures: vec![
                "no case of the suite runs through this variant on this device, so it is not validated"
                    .to_owned(),
            ],
            ..Self::new()
        }
    }

    /// Returns whether at least one case ran, and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.cases > 0 && self.failures.is_empty()
    }

    /// Runs and counts a case. A panic is a failure.
    pub(super) fn case(&mut self, case: impl FnOnce() -> Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = caught(case) {
            self.failures.push(reason);
        }
    }
}

/// Converts a panic, of a driver or of wgpu, into an error.
pub(super) fn caught<T>(case: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a message")))
    })
}
