//! Invalid input and the messages of its errors.

use std::collections::BTreeSet;

use ctc_wgpu::{Batch, CheckedBatch, Ctc, Error, InputError, Options, reference};

use crate::support::semantics::{self, Expected};

/// Every variant. The enum may grow: add it here, and a row to `semantics/errors.rs`.
const VARIANTS: [&str; 16] = [
    "Axis",
    "Length",
    "NoLabels",
    "RaggedLabels",
    "Blank",
    "LogitLength",
    "LabelLength",
    "Label",
    "BlankLabel",
    "Weight",
    "WeightSum",
    "Epsilon",
    "SparseIndex",
    "SparseOrder",
    "SparseRow",
    "Padding",
];

fn variant(error: &InputError) -> String {
    let debug = match error {
        InputError::Parameter(error) => format!("{error:?}"),
        error => format!("{error:?}"),
    };
    debug.chars().take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn every_rule_on_the_input_has_a_row_that_violates_it() {
    let mut broken = BTreeSet::new();
    for row in semantics::all() {
        if let Err(Error::Input(error)) = reference::loss_and_grad(&row.batch.batch(), &row.options)
        {
            assert!(
                matches!(row.expected, Expected::Error(..)),
                "{}: {error}",
                row.name
            );
            broken.insert(variant(&error));
        }
    }
    assert_eq!(broken, VARIANTS.map(str::to_owned).into());
}

#[test]
fn a_batch_is_rejected_before_anything_is_computed() {
    // NaN everywhere, and a label of the second item that is not a valid class: the error is about
    // the label.
    let values = [f32::NAN; 16];
    let batch = Batch::new([2, 2, 4], &values).labels(&[1, 9], &[1, 1]);
    let error = reference::loss_and_grad(&batch, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "item 1: label 9 at position 0 is out of range: expected 0 to 3 for 4 classes"
    );
}

#[test]
fn an_axis_that_is_too_long_is_rejected_without_overflow() {
    for (dims, says) in [
        (
            [usize::MAX, 2, 2],
            "items N = 18446744073709551615: must be below 2^31",
        ),
        ([1, 1 << 31, 2], "frames T = 2147483648: must be below 2^31"),
        (
            [1, 2, 1 << 31],
            "classes C = 2147483648: must be below 2^31",
        ),
        (
            [i32::MAX as usize; 3],
            "N·T·C = 18446744073709551615: must be small enough for the memory of this machine",
        ),
    ] {
        let batch = Batch::new(dims, &[]).labels(&[], &[]);
        let error = reference::loss_and_grad(&batch, &Options::default()).unwrap_err();
        assert_eq!(error.to_string(), says);
    }
}

#[test]
fn the_last_one_of_logit_lengths_and_a_mask_is_used() {
    let values = [0.0; 12];
    let batch = Batch::new([1, 3, 4], &values).labels(&[], &[0]);
    let loss = |batch: &Batch<'_>| {
        reference::loss_and_grad(batch, &Options::default())
            .unwrap()
            .loss[0]
    };
    let (lengths, mask) = ([2], [0.0, 1.0, 1.0]);
    let by_mask = batch.clone().logit_lengths(&lengths).logit_paddings(&mask);
    assert_eq!(loss(&by_mask), 4.0_f64.ln());
    let by_lengths = batch.logit_paddings(&mask).logit_lengths(&lengths);
    assert_eq!(loss(&by_lengths), 2.0 * 4.0_f64.ln());
}

#[test]
fn a_batch_takes_no_memory_for_arrays_that_it_does_not_have() {
    // Found by a fuzzer: both batches allocated 8 GiB, the first for one logit length per item, the
    // second for one index per class.
    const MANY: usize = i32::MAX as usize;
    let batch = Batch::new([MANY, 0, 3], &[]).labels(&[], &[]);
    let error = CheckedBatch::new(&batch, &Options::default()).unwrap_err();
    assert!(matches!(error, InputError::Length { .. }), "{error}");
    let batch = Batch::new([2, 0, MANY], &[]).labels(&[], &[0, 0]);
    let cpu = Ctc::cpu();
    let output = cpu.loss_and_grad(&batch, &Options::default()).unwrap();
    assert_eq!(output.loss, [0.0, 0.0]);
    assert!(cpu.cached_bytes() < Some(1 << 20));
}
