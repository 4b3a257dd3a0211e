//! What came of cases.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::conformance::check::{Failures, Worst};

/// What came of the cases of a family through a variant.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many cases went through the variant.
    pub cases: usize,
    /// The largest deviations; none where bits were compared and no numbers.
    pub worst: Option<Worst>,
    /// What was wrong, a line each, with what it takes to draw the case again.
    pub failures: Vec<String>,
    /// Whether each case gave the same bits again, and those of the device's own choice of kernels where the variant must.
    pub same_bits: bool,
    /// How long that took, the reference not counted after the first time.
    pub time: Duration,
}

impl Tally {
    /// What both say together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.cases += other.cases;
        self.measured(other.worst);
        self.failures.extend_from_slice(&other.failures);
        self.same_bits &= other.same_bits;
        self.time += other.time;
        self
    }

    fn measured(&mut self, worst: Option<Worst>) {
        self.worst = match (self.worst, worst) {
            (Some(a), Some(b)) => Some(a.or(b)),
            (a, b) => a.or(b),
        };
    }

    /// Adds what was found in a case, cut to the first few.
    pub(super) fn found(&mut self, found: Failures) {
        self.measured(found.worst());
        let mut shown = Failures::default();
        shown.case(found);
        self.failures.extend_from_slice(shown.list());
    }

    /// Nothing yet.
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

    /// Counts a case, whose panic is its failure.
    pub(super) fn case(&mut self, case: impl FnOnce() -> Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = caught(case) {
            self.failures.push(reason);
        }
    }
}

/// A panic of a driver or of wgpu as the failure of a case.
pub(super) fn caught<T>(case: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a word")))
    })
}
