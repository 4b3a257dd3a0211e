//! Compares the reference with all known results.

use ctc_wgpu::{Batch, Error, Options, RepeatedOutputs, reference};

use crate::support::check::{
    Computed, Failures, Tolerance, run_golden, run_ocr, run_semantics, well_formed,
};
use crate::support::random::BatchSpec;

fn run(batch: &Batch<'_>, options: &Options) -> Result<Computed, Error> {
    reference::loss_and_grad(batch, options).map(Computed::from)
}

#[test]
fn the_reference_agrees_with_every_golden_case() {
    run_golden(&run, Tolerance::F64);
}

#[test]
fn the_reference_follows_every_row_of_the_table_of_semantics() {
    run_semantics(&run, Tolerance::F64);
}

#[test]
fn the_reference_agrees_with_pytorch_on_the_batches_of_a_real_network() {
    run_ocr(&run, Tolerance::F64);
}

#[test]
fn an_item_alone_equals_the_item_in_a_batch() {
    let spec = BatchSpec {
        weights: true,
        minus_infinity: 0.05,
        ..BatchSpec::new([6, 12, 5], 5)
    };
    for seed in 0..20 {
        let batch = spec.batch(seed);
        let all = reference::loss_and_grad(&batch.batch(), &Options::default()).unwrap();
        for item in 0..batch.items() {
            let alone = batch.alone(item);
            let one = reference::loss_and_grad(&alone.batch(), &Options::default()).unwrap();
            assert_eq!(
                one.loss[0].to_bits(),
                all.loss[item].to_bits(),
                "seed {seed} item {item}"
            );
            let rows = (0..batch.frames()).map(|t| batch.row(item, t));
            let grad: Vec<f64> = rows.flat_map(|at| all.grad[at..at + 5].to_vec()).collect();
            assert_eq!(one.grad, grad, "seed {seed} item {item}");
        }
    }
}

#[test]
fn both_layouts_and_both_label_layouts_have_the_same_results() {
    for seed in 0..20 {
        let spec = BatchSpec {
            weights: true,
            ..BatchSpec::new([4, 9, 5], 4)
        };
        let batch = spec.batch(seed);
        let expected = run(&batch.batch(), &Options::default()).unwrap();
        let other = BatchSpec {
            concatenated: true,
            ..spec
        }
        .batch(seed)
        .transposed();
        let mut answer = run(&other.batch(), &Options::default()).unwrap();
        answer.grad = other.transpose(&answer.grad);
        assert_eq!(answer, expected, "seed {seed}");
    }
}

#[test]
fn occupancies_of_a_frame_sum_to_one_and_those_past_the_length_are_zero() {
    let spec = BatchSpec {
        minus_infinity: 0.1,
        scale: 20.0,
        ..BatchSpec::new([5, 40, 6], 8)
    };
    let mut failures = Failures::default();
    for seed in 0..20 {
        let batch = spec.batch(seed);
        let output = reference::loss_and_grad(&batch.batch(), &Options::default()).unwrap();
        for item in 0..batch.items() {
            let possible = output.loss[item].is_finite();
            for frame in 0..batch.frames() {
                let sum: f64 = output.occupancy[batch.row(item, frame)..][..6].iter().sum();
                let counts = possible && frame < batch.valid_frames(item);
                let expected = if counts { 1.0 } else { 0.0 };
                failures.check((sum - expected).abs() < 1e-12, || {
                    format!("seed {seed} item {item} frame {frame}: {sum}")
                });
            }
        }
        well_formed(
            &format!("seed {seed}"),
            &batch,
            &Computed::from(output),
            &mut failures,
        );
    }
    failures.finish("occupancies").unwrap();
}

#[test]
fn the_recursion_accepts_any_arguments() {
    let half = [0.5_f64.ln(); 4];
    let item = |log_probs: &[f64], classes, labels: &[usize], blank| {
        reference::item(log_probs, classes, labels, blank, RepeatedOutputs::Merge)
    };
    assert_eq!(item(&[], 2, &[], 0).loss.to_bits(), 0);
    assert_eq!(item(&[], 2, &[1], 0).loss, f64::INFINITY);
    // A label or a blank that is not a valid class has probability 0.
    assert_eq!(item(&half, 2, &[7], 0).loss, f64::INFINITY);
    assert_eq!(item(&half, 2, &[7], 0).occupancy, [0.0; 4]);
    assert_eq!(item(&half, 2, &[1], 9).loss, 4.0_f64.ln());
    // An incomplete row is ignored, and without classes there are no rows.
    assert_eq!(item(&half[..3], 2, &[1], 0).occupancy, [0.0, 1.0]);
    assert!(item(&half, 0, &[1], 0).occupancy.is_empty());
}
