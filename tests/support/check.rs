//! Holds any backend against the cases of the suite, and panics with all that is wrong at once.

pub(crate) use ctc_wgpu::conformance::case::Case;
pub(crate) use ctc_wgpu::conformance::check::{
    Allowed, Answer, Failures, Tolerance, close, well_formed,
};
use ctc_wgpu::{Batch, Error, Options};

use super::batch::OwnedBatch;
use super::random_case::RandomCase;
use super::{golden, ocr, semantics};

/// A backend: what takes a batch and answers.
pub(crate) type Run<'a> = dyn Fn(&Batch<'_>, &Options) -> Result<Answer, Error> + 'a;

/// What is wrong in an answer to a case.
pub(crate) fn judged(case: &Case, run: &Run<'_>, tolerance: Tolerance) -> Failures {
    let mut failures = Failures::default();
    let answer = run(&case.batch().batch(), case.options());
    case.judge(&answer, tolerance, &mut failures);
    failures
}

/// Cases of one kind.
pub(crate) fn run_cases<C: Into<Case>>(
    what: &str,
    cases: impl IntoIterator<Item = C>,
    run: &Run<'_>,
    tolerance: Tolerance,
) {
    let mut failures = Failures::default();
    for case in cases {
        failures.case(judged(&case.into(), run, tolerance));
    }
    failures
        .finish(what)
        .unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Every golden case.
pub(crate) fn run_golden(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("golden cases", golden::all(), run, tolerance);
}

/// Every row of the table of semantics.
pub(crate) fn run_semantics(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("table of semantics", semantics::all(), run, tolerance);
}

/// The batches of a real network, against PyTorch in float64.
pub(crate) fn run_ocr(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("batches of a real network", ocr::cases(), run, tolerance);
}

/// Answers to `seeds` random batches: the same seed is the same batch and the same options everywhere.
pub(crate) fn run_random(run: &Run<'_>, tolerance: Tolerance, seeds: std::ops::Range<u64>) {
    run_cases("random batches", seeds.map(RandomCase::of), run, tolerance);
}

/// One batch against the reference.
pub(crate) fn compare(
    name: &str,
    batch: &OwnedBatch,
    options: &Options,
    run: &Run<'_>,
    tolerance: Tolerance,
) -> Failures {
    let drawn = RandomCase::new(name.to_owned(), batch.clone(), *options);
    judged(&drawn.into(), run, tolerance)
}
