//! A test case with any of the three sources of expected results.

use super::batch::OwnedBatch;
use super::check::{Computed, Failures, Tolerance};
use super::golden::Golden;
use super::random_case::RandomCase;
use super::semantics::SemanticsCase;
use ctc_wgpu::{Error, Options};

/// A batch, its options, and the source of the expected result.
#[derive(Debug)]
pub enum Case {
    /// Numbers that other libraries computed.
    Golden(Box<Golden>),
    /// A row of the table of semantics: closed forms, and the enumeration of all paths.
    Semantics(Box<SemanticsCase>),
    /// The float64 reference.
    Random(Box<RandomCase>),
}

impl Case {
    /// Returns the name of the case. The name of a random case contains its seed.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Golden(golden) => &golden.name,
            Self::Semantics(semantics) => semantics.name,
            Self::Random(random) => &random.name,
        }
    }

    /// Returns the batch.
    #[must_use]
    pub fn batch(&self) -> &OwnedBatch {
        match self {
            Self::Golden(golden) => &golden.batch,
            Self::Semantics(semantics) => &semantics.batch,
            Self::Random(random) => &random.batch,
        }
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &Options {
        match self {
            Self::Golden(golden) => &golden.options,
            Self::Semantics(semantics) => &semantics.options,
            Self::Random(random) => &random.options,
        }
    }

    /// Compares a result with the expected one, and adds what differs to `failures`.
    pub fn check(
        &self,
        computed: &Result<Computed, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        match self {
            Self::Golden(golden) => golden.check(computed, tolerance, failures),
            Self::Semantics(semantics) => semantics.check(computed, tolerance, failures),
            Self::Random(random) => random.check(computed, tolerance, failures),
        }
    }
}

impl From<Golden> for Case {
    fn from(golden: Golden) -> Self {
        Self::Golden(Box::new(golden))
    }
}

impl From<SemanticsCase> for Case {
    fn from(semantics: SemanticsCase) -> Self {
        Self::Semantics(Box::new(semantics))
    }
}

impl From<RandomCase> for Case {
    fn from(random: RandomCase) -> Self {
        Self::Random(Box::new(random))
    }
}
