//! The golden cases and the table of semantics, through the CPU twin.

use ctc_wgpu::Ctc;

use super::support::check::{Answer, Tolerance, run_golden, run_semantics};

#[test]
fn every_golden_case_holds_on_the_twin() {
    let ctc = Ctc::cpu();
    run_golden(&|batch, options| Ok(Answer::from(ctc.loss_and_grad(batch, options)?)), Tolerance::F32);
}

#[test]
fn every_row_of_the_table_of_semantics_holds_on_the_twin() {
    let ctc = Ctc::cpu();
    run_semantics(&|batch, options| Ok(Answer::from(ctc.loss_and_grad(batch, options)?)), Tolerance::F32);
}
