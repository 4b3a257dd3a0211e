//! Holds any backend against the golden cases and the table of semantics, and tells all that is wrong at once.

use ctc_wgpu::reference::ReferenceOutput;
use ctc_wgpu::{Batch, CtcOutput, Error, Options, Status};

use super::batch::OwnedBatch;
use super::golden::{self, Expectation, Golden, Grad};
use super::{ocr, semantics};

/// What a backend answers, in float64.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) loss: Vec<f64>,
    pub(crate) grad: Vec<f64>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f64>,
}

impl From<CtcOutput> for Answer {
    fn from(output: CtcOutput) -> Self {
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

/// A backend: what takes a batch and answers.
pub(crate) type Run<'a> = dyn Fn(&Batch<'_>, &Options) -> Result<Answer, Error> + 'a;

/// How far off a number may be: both are relative above 1, and absolute below.
///
/// For a gradient with respect to logits that is absolute, since none is larger than the item's weight. With respect to
/// probabilities it is (softmax − γ)/(p + ε), whose terms reach 1/ε = 1e7: what a relative error of γ makes of them is
/// relative too, and where the two terms cancel they are of the order of 1, as the probabilities sum to about 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) loss: f64,
    pub(crate) grad: f64,
}

impl Tolerance {
    /// What the crate promises of its f32 backends.
    pub(crate) const F32: Self = Self {
        loss: 1e-6,
        grad: 1e-5,
    };
    /// Two float64 log-domain recursions that add in different orders: at a loss of 1e4 an ulp is 2e-12, and thousands
    /// of frames add theirs up.
    pub(crate) const F64: Self = Self {
        loss: 1e-9,
        grad: 1e-9,
    };

    pub(crate) fn plus(self, loss: f64, grad: f64) -> Self {
        Self {
            loss: self.loss + loss,
            grad: self.grad + grad,
        }
    }
}

/// Whether `got` is `expected`: NaN for NaN, the same infinity, or within `tolerance · max(1, |expected|)`.
pub(crate) fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() {
        return got.is_nan();
    }
    // An infinite tolerance would let everything pass for an infinite number.
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}

/// What is wrong, gathered before anything panics.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    list: Vec<String>,
    checks: usize,
}

/// A wrong kernel is wrong everywhere: the first few places of a case tell enough.
const SHOWN: usize = 4;

impl Failures {
    pub(crate) fn check(&mut self, right: bool, message: impl FnOnce() -> String) {
        self.checks += 1;
        if !right {
            self.list.push(message());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the failures of one case, cut to the first few.
    pub(crate) fn case(&mut self, case: Self) {
        self.checks += case.checks;
        let more = case.list.len().saturating_sub(SHOWN);
        self.list.extend(case.list.into_iter().take(SHOWN));
        if more > 0 {
            self.list
                .push(format!("    … and {more} more in this case"));
        }
    }

    /// Panics with all of them, or if there was nothing to check.
    pub(crate) fn finish(self, what: &str) {
        assert!(self.checks > 0, "{what}: nothing was checked");
        let (wrong, checks) = (self.list.len(), self.checks);
        assert!(
            wrong == 0,
            "{what}: {wrong} of {checks} checks failed\n{}",
            self.list.join("\n")
        );
    }
}

/// Every golden case.
pub(crate) fn run_golden(run: &Run<'_>, tolerance: Tolerance) {
    let mut failures = Failures::default();
    for golden in golden::all() {
        let mut case = Failures::default();
        check_golden(&golden, run, tolerance, &mut case);
        failures.case(case);
    }
    failures.finish("golden cases");
}

/// One golden case, against each of its sources.
pub(crate) fn check_golden(
    golden: &Golden,
    run: &Run<'_>,
    tolerance: Tolerance,
    failures: &mut Failures,
) {
    let name = &golden.name;
    let answer = match run(&golden.batch.batch(), &golden.options) {
        Ok(answer) => answer,
        Err(error) => return failures.check(false, || format!("{name}: error {error}")),
    };
    well_formed(name, &golden.batch, &answer, failures);
    failures.check(answer.status == golden.status, || {
        format!(
            "{name}: status {:?}, expected {:?}",
            answer.status, golden.status
        )
    });
    for expectation in &golden.expectations {
        let wide = tolerance.plus(expectation.accuracy.loss, expectation.accuracy.grad);
        compare(golden, expectation, &answer, wide, failures);
    }
}

fn compare(
    golden: &Golden,
    expectation: &Expectation,
    answer: &Answer,
    tolerance: Tolerance,
    failures: &mut Failures,
) {
    let name = format!("{} ({})", golden.name, expectation.source);
    for (item, expected) in expectation.loss.iter().enumerate() {
        let Some(expected) = *expected else { continue };
        let got = answer.loss.get(item).copied().unwrap_or(f64::NAN);
        failures.check(close(got, expected, tolerance.loss), || {
            format!("{name} item {item}: loss {got:e}, expected {expected:e}")
        });
    }
    if let Some(expected) = expectation.reduced {
        let got = answer.reduced.unwrap_or(f64::NAN);
        failures.check(close(got, expected, tolerance.loss), || {
            format!("{name}: reduced {got:e}, expected {expected:e}")
        });
    }
    // An incoming gradient scales the error with the value.
    let largest = golden
        .batch
        .weights
        .iter()
        .flatten()
        .fold(1.0, |m: f32, w| m.max(w.abs()));
    let tolerance = tolerance.grad * f64::from(largest);
    match &expectation.grad {
        Grad::NotGiven => {}
        Grad::Full(expected) => {
            failures.check(expected.len() == answer.grad.len(), || {
                format!("{name}: gradient's length")
            });
            for (at, (got, expected)) in answer.grad.iter().zip(expected).enumerate() {
                let Some(expected) = *expected else { continue };
                element(
                    &name,
                    &golden.batch,
                    at,
                    *got,
                    expected,
                    tolerance,
                    failures,
                );
            }
        }
        Grad::Sampled {
            sample,
            abs_sum,
            checksum,
        } => {
            for &(at, expected) in sample {
                element(
                    &name,
                    &golden.batch,
                    at,
                    answer.grad[at],
                    expected,
                    tolerance,
                    failures,
                );
            }
            // Sums of all elements: their errors add up as the elements do, so the tolerance is relative to that sum.
            let sum: f64 = answer.grad.iter().map(|g| g.abs()).sum();
            failures.check(close(sum, *abs_sum, tolerance), || {
                format!("{name}: sum of |gradient| {sum}, expected {abs_sum}")
            });
            if let Some(expected) = *checksum {
                let got: f64 = golden::lcg_units(12345)
                    .zip(&answer.grad)
                    .map(|(w, g)| w * g)
                    .sum();
                failures.check(
                    (got - expected).abs() <= tolerance * abs_sum.max(1.0),
                    || format!("{name}: checksum {got}, expected {expected}"),
                );
            }
        }
    }
}

fn element(
    name: &str,
    batch: &OwnedBatch,
    at: usize,
    got: f64,
    expected: f64,
    tolerance: f64,
    failures: &mut Failures,
) {
    let [item, frame, class] = batch.place(at);
    failures.check(close(got, expected, tolerance), || {
        format!("{name} item {item} frame {frame} class {class}: gradient {got:e}, expected {expected:e}")
    });
}

/// What holds of every answer: its lengths, no negative loss, and exactly 0 in the frames past each item's length.
pub(crate) fn well_formed(
    name: &str,
    batch: &OwnedBatch,
    answer: &Answer,
    failures: &mut Failures,
) {
    let [items, frames, _] = batch.dims;
    let lengths = [answer.loss.len(), answer.status.len(), answer.grad.len()];
    failures.check(lengths == [items, items, batch.values.len()], || {
        format!("{name}: lengths of loss, status and gradient are {lengths:?}")
    });
    if lengths != [items, items, batch.values.len()] {
        return;
    }
    for (item, loss) in answer.loss.iter().enumerate() {
        failures.check(!loss.is_sign_negative() || loss.is_nan(), || {
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
}

/// Every row of the table of semantics.
pub(crate) fn run_semantics(run: &Run<'_>, tolerance: Tolerance) {
    let mut failures = Failures::default();
    for row in semantics::all() {
        let mut case = Failures::default();
        semantics::check(&row, run, tolerance, &mut case);
        failures.case(case);
    }
    failures.finish("table of semantics");
}

/// The batches of a real network, against PyTorch in float64.
pub(crate) fn run_ocr(run: &Run<'_>, tolerance: Tolerance) {
    let mut failures = Failures::default();
    for golden in ocr::cases() {
        let mut case = Failures::default();
        check_golden(&golden, run, tolerance, &mut case);
        failures.case(case);
    }
    failures.finish("batches of a real network");
}
