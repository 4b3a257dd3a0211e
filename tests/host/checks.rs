//! Tests of the checks: a wrong result must not pass.

use std::collections::BTreeSet;

use ctc_wgpu::{Batch, Error, Options, Reduction, RepeatedLabels, Status, reference};

use crate::support::check::{
    Computed, Tolerance, close, failures_of, run_golden, run_ocr, run_random, run_semantics,
};
use crate::support::golden;
use crate::support::random::BatchSpec;
use crate::support::random_case;
use crate::support::semantics::{self, Expected};

#[test]
fn closeness_is_relative_above_one_and_exact_for_what_is_not_finite() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    for (got, expected) in [
        (1.0, 1.0 + 1e-7),
        (1e9, 1e9 + 1.0),
        (inf, inf),
        (nan, nan),
        (0.0, -1e-7),
    ] {
        assert!(close(got, expected, 1e-6), "{got} for {expected}");
    }
    for (got, expected) in [
        (1.0, 1.1),
        (707.0, inf),
        (inf, 1e300),
        (nan, inf),
        (0.0, nan),
        (nan, 0.0),
        (-inf, inf),
    ] {
        assert!(!close(got, expected, 1e-6), "{got} for {expected}");
    }
}

#[test]
fn a_random_batch_is_the_same_on_every_machine() {
    let batch = BatchSpec::new([2, 2, 3], 3).batch(7);
    let again = BatchSpec::new([2, 2, 3], 3).batch(7);
    assert_eq!(
        (&batch.values, batch.item_labels(0)),
        (&again.values, again.item_labels(0))
    );
    // The first random number of a frame selects the class that stays finite. The second one gives
    // the first logit.
    assert_eq!(&batch.values[..3], &[-2.8992705, 0.4975816, -1.503411]);
}

#[test]
fn the_rows_of_the_table_have_unique_names() {
    let mut names = BTreeSet::new();
    for row in semantics::all() {
        assert!(names.insert(row.name), "two rows are called `{}`", row.name);
    }
}

/// Returns a result with the right shapes and statuses and wrong numbers.
fn wrong_numbers(batch: &Batch<'_>, options: &Options) -> Result<Computed, Error> {
    let mut output = Computed::from(reference::loss_and_grad(batch, options)?);
    output.loss.iter_mut().for_each(|l| *l += 0.5);
    output
        .loss
        .iter_mut()
        .for_each(|l| *l = if l.is_finite() { *l * 1.1 } else { 707.0 });
    output.grad.iter_mut().for_each(|g| *g = 0.123);
    output.reduced = output.reduced.map(|r| r + 0.5);
    Ok(output)
}

#[test]
fn a_backend_with_wrong_results_fails_every_row() {
    for row in semantics::all() {
        if row.batch.items() == 0 || matches!(row.expected, Expected::Error(..)) {
            continue;
        }
        let name = row.name;
        let failures = failures_of(&row.into(), &wrong_numbers, Tolerance::F32);
        assert!(!failures.is_empty(), "{name}: passes with wrong numbers");
    }
}

#[test]
fn a_backend_with_wrong_results_fails_every_golden_case() {
    for case in golden::all() {
        let name = case.name.clone();
        let failures = failures_of(&case.into(), &wrong_numbers, Tolerance::F32);
        assert!(!failures.is_empty(), "{name}: passes with wrong numbers");
    }
}

#[test]
fn random_batches_detect_a_small_error_in_one_option() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let right = |batch: &Batch<'_>, options: &Options| {
        reference::loss_and_grad(batch, options).map(Computed::from)
    };
    run_random(&right, Tolerance::F32, 0..60);
    // Simulates a mean that divides by a wrong label length, such as that after collapsing.
    let wrong = |batch: &Batch<'_>, options: &Options| {
        let mut output = Computed::from(reference::loss_and_grad(batch, options)?);
        if options.reduction == Reduction::MeanLabel
            && options.repeated_labels == RepeatedLabels::Collapse
        {
            output.grad.iter_mut().for_each(|g| *g *= 0.99);
        }
        Ok(output)
    };
    let found = catch_unwind(AssertUnwindSafe(|| {
        run_random(&wrong, Tolerance::F32, 0..60)
    }));
    assert!(found.is_err());
}

#[test]
fn random_batches_have_items_of_every_kind() {
    let mut seen = BTreeSet::new();
    let mut ok = 0;
    for seed in 0..60 {
        let (batch, options) = random_case::generate(seed);
        let output = reference::loss_and_grad(&batch.batch(), &options).unwrap();
        ok += output.status.iter().filter(|s| **s == Status::Ok).count();
        seen.extend(output.status);
    }
    assert!(
        seen.contains(&Status::Impossible) && ok > 150,
        "{seen:?}, {ok} items are ok"
    );
}

#[test]
fn correct_results_rounded_to_f32_pass_every_check_of_an_f32_backend() {
    let rounded = |batch: &Batch<'_>, options: &Options| {
        let mut output = Computed::from(reference::loss_and_grad(batch, options)?);
        let all = output
            .loss
            .iter_mut()
            .chain(&mut output.grad)
            .chain(&mut output.reduced);
        all.for_each(|x| *x = f64::from(*x as f32));
        Ok(output)
    };
    run_golden(&rounded, Tolerance::F32);
    run_semantics(&rounded, Tolerance::F32);
    run_ocr(&rounded, Tolerance::F32);
    run_random(&rounded, Tolerance::F32, 0..60);
}
