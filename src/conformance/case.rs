//! A case, whoever judges it.

use super::batch::OwnedBatch;
use super::check::{Answer, Failures, Tolerance};
use super::golden::Golden;
use super::random_case::RandomCase;
use super::semantics::Row;
use crate::{Error, Options};

/// A batch, its options, and who says what must come of them.
#[derive(Debug)]
pub enum Case {
    /// Another library's numbers.
    Golden(Box<Golden>),
    /// A row of the table of semantics, by closed forms and by counting all paths.
    Row(Box<Row>),
    /// The float64 reference.
    RandomCase(Box<RandomCase>),
}

impl Case {
    /// What it is called; a drawn one's name says how to draw it again.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Golden(golden) => &golden.name,
            Self::Row(row) => row.name,
            Self::RandomCase(drawn) => &drawn.name,
        }
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &OwnedBatch {
        match self {
            Self::Golden(golden) => &golden.batch,
            Self::Row(row) => &row.batch,
            Self::RandomCase(drawn) => &drawn.batch,
        }
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &Options {
        match self {
            Self::Golden(golden) => &golden.options,
            Self::Row(row) => &row.options,
            Self::RandomCase(drawn) => &drawn.options,
        }
    }

    /// Holds an answer against what must come of the case.
    pub fn judge(
        &self,
        answer: &Result<Answer, Error>,
        tolerance: Tolerance,
        failures: &mut Failures,
    ) {
        match self {
            Self::Golden(golden) => golden.judge(answer, tolerance, failures),
            Self::Row(row) => row.judge(answer, tolerance, failures),
            Self::RandomCase(drawn) => drawn.judge(answer, tolerance, failures),
        }
    }
}

impl From<Golden> for Case {
    fn from(golden: Golden) -> Self {
        Self::Golden(Box::new(golden))
    }
}

impl From<Row> for Case {
    fn from(row: Row) -> Self {
        Self::Row(Box::new(row))
    }
}

impl From<RandomCase> for Case {
    fn from(drawn: RandomCase) -> Self {
        Self::RandomCase(Box::new(drawn))
    }
}
