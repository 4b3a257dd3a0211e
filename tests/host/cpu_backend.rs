//! The checks of every backend, on the CPU backend.

use ctc_wgpu::{Batch, Ctc, Error, Options};

use crate::support::check::{
    Computed, Tolerance, run_cases, run_golden, run_ocr, run_random, run_semantics,
};
use crate::support::exponential;
use crate::support::extreme_values::{
    equally_probable_paths, far_below, huge_losses, impossible_in_spite_of_scores_above_0,
    masked_labels,
};
use crate::support::special_values::{minus_infinity, subnormals};

fn cpu(batch: &Batch<'_>, options: &Options) -> Result<Computed, Error> {
    Ctc::cpu().loss_and_grad(batch, options).map(Computed::from)
}

#[test]
fn every_golden_case_holds_on_the_cpu_backend() {
    run_golden(&cpu, Tolerance::F32);
}

#[test]
fn every_row_of_the_table_of_semantics_holds_on_the_cpu_backend() {
    run_semantics(&cpu, Tolerance::F32);
}

#[test]
fn the_batches_of_a_real_network_agree_with_pytorch_on_the_cpu_backend() {
    run_ocr(&cpu, Tolerance::F32);
}

#[test]
fn random_batches_and_options_agree_with_the_reference_on_the_cpu_backend() {
    run_random(&cpu, Tolerance::F32, 0..500);
}

#[test]
fn subnormal_and_infinite_numbers_are_right_on_the_cpu_backend() {
    run_cases("subnormals", subnormals(), &cpu, Tolerance::F32);
    run_cases("−∞", minus_infinity(), &cpu, Tolerance::F32);
}

#[test]
fn numbers_far_from_each_other_are_right_on_the_cpu_backend() {
    run_cases("huge losses", huge_losses(), &cpu, Tolerance::F32);
    run_cases("masked labels", masked_labels(), &cpu, Tolerance::F32);
    run_cases("far below", far_below(), &cpu, Tolerance::F32);
    let tied = equally_probable_paths();
    run_cases("equally probable paths", tied, &cpu, Tolerance::F32);
    let impossible = impossible_in_spite_of_scores_above_0();
    run_cases("scores above 0", impossible, &cpu, Tolerance::F32);
}

#[test]
fn the_exponential_has_no_bias() {
    exponential::is_unbiased(&Ctc::cpu());
    exponential::compensates_rounding(&Ctc::cpu());
}
