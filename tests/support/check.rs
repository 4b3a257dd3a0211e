//! Runs the cases of the conformance suite on any backend, and panics with the list of all
//! failures.

use ctc_wgpu::{Batch, Ctc, Error, Options};
pub(crate) use ctc_wgpu_conformance::case::Case;
pub(crate) use ctc_wgpu_conformance::check::{
    AllowedError, Computed, Failures, Tolerance, close, well_formed,
};

use super::batch::OwnedBatch;
use super::random_case::RandomCase;
use super::{golden, ocr, semantics};

/// A backend: a function that computes a batch.
pub(crate) type Run<'a> = dyn Fn(&Batch<'_>, &Options) -> Result<Computed, Error> + 'a;

/// Returns the backend of a context.
pub(crate) fn through(ctc: &Ctc) -> impl Fn(&Batch<'_>, &Options) -> Result<Computed, Error> {
    |batch, options| ctc.loss_and_grad(batch, options).map(Computed::from)
}

/// Runs a case, and returns the failed checks.
pub(crate) fn failures_of(case: &Case, run: &Run<'_>, tolerance: Tolerance) -> Failures {
    let mut failures = Failures::default();
    let answer = run(&case.batch().batch(), case.options());
    case.check(&answer, tolerance, &mut failures);
    failures
}

/// Runs cases of one kind.
pub(crate) fn run_cases<C: Into<Case>>(
    what: &str,
    cases: impl IntoIterator<Item = C>,
    run: &Run<'_>,
    tolerance: Tolerance,
) {
    let mut failures = Failures::default();
    for case in cases {
        failures.case(failures_of(&case.into(), run, tolerance));
    }
    failures
        .finish(what)
        .unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Runs all golden cases.
pub(crate) fn run_golden(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("golden cases", golden::all(), run, tolerance);
}

/// Runs all rows of the table of semantics.
pub(crate) fn run_semantics(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("table of semantics", semantics::all(), run, tolerance);
}

/// Compares the batches of a real network with PyTorch in float64.
pub(crate) fn run_ocr(run: &Run<'_>, tolerance: Tolerance) {
    run_cases("batches of a real network", ocr::cases(), run, tolerance);
}

/// Compares random batches with the reference. A seed gives the same batch and options on every
/// machine.
pub(crate) fn run_random(run: &Run<'_>, tolerance: Tolerance, seeds: std::ops::Range<u64>) {
    run_cases("random batches", seeds.map(RandomCase::of), run, tolerance);
}

/// Compares one batch with the reference.
pub(crate) fn compare(
    name: &str,
    batch: &OwnedBatch,
    options: &Options,
    run: &Run<'_>,
    tolerance: Tolerance,
) -> Failures {
    let case = RandomCase::new(name.to_owned(), batch.clone(), *options);
    failures_of(&case.into(), run, tolerance)
}
