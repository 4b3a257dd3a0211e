//! The conformance cases on every adapter.

use crate::support::adapters::on_each;
use crate::support::check::{
    Tolerance, run_cases, run_golden, run_ocr, run_random, run_semantics, through,
};
use crate::support::special_values::{minus_infinity, subnormals};

#[test]
fn every_golden_case_holds_on_every_adapter() {
    on_each(|ctc| run_golden(&through(ctc), Tolerance::F32));
}

#[test]
fn every_row_of_the_table_of_semantics_holds_on_every_adapter() {
    on_each(|ctc| run_semantics(&through(ctc), Tolerance::F32));
}

#[test]
fn the_batches_of_a_real_network_agree_with_pytorch_on_every_adapter() {
    on_each(|ctc| run_ocr(&through(ctc), Tolerance::F32));
}

#[test]
fn random_batches_and_options_agree_with_the_reference_on_every_adapter() {
    on_each(|ctc| run_random(&through(ctc), Tolerance::F32, 0..150));
}

#[test]
fn subnormal_and_infinite_numbers_are_right_on_every_adapter() {
    on_each(|ctc| {
        run_cases("subnormals", subnormals(), &through(ctc), Tolerance::F32);
        run_cases("−∞", minus_infinity(), &through(ctc), Tolerance::F32);
    });
}
