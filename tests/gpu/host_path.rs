//! Arrays of the host: threads, futures, empty batches, lost devices and large batches.

use ctc_wgpu::{Batch, Ctc, DeviceLimits, Error, Impossible, Options, Reduction, Status};

use crate::support::adapters::on_each;
use crate::support::device::on_each_device_within;
use crate::support::occupancies;
use crate::support::random::BatchSpec;

const REDUCTIONS: [Reduction; 6] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::MeanBatch,
    Reduction::MeanLabel,
    Reduction::MeanVolume,
    Reduction::MeanWeighted,
];

fn spec(dims: [usize; 3], max_labels: usize) -> BatchSpec {
    BatchSpec {
        dims,
        max_labels,
        blank: 0,
        scale: 2.0,
        repeats: 0.2,
        minus_infinity: 0.0,
        ragged: true,
        weights: true,
        concatenated: false,
    }
}

#[test]
fn occupancies_agree_with_the_reference() {
    on_each(occupancies::match_the_reference);
}

#[test]
fn threads_that_share_a_context_compute_the_same_results_as_one_thread() {
    on_each(|ctc| {
        let batches: Vec<_> = (0..6)
            .map(|seed| spec([3, 20 + 5 * (seed as usize % 3), 9], 5).batch(seed))
            .collect();
        let options = Options::default();
        let alone: Vec<_> = batches
            .iter()
            .map(|b| ctc.loss_and_grad(&b.batch(), &options).unwrap())
            .collect();
        std::thread::scope(|scope| {
            for start in 0..4 {
                let (batches, alone) = (&batches, &alone);
                scope.spawn(move || {
                    for round in 0..8 {
                        let i = (start + round) % batches.len();
                        let got = ctc.loss_and_grad(&batches[i].batch(), &options).unwrap();
                        assert_eq!(got, alone[i]);
                    }
                });
            }
        });
    });
}

#[test]
fn an_awaited_result_is_the_same() {
    on_each(|ctc| {
        let batch = spec([4, 30, 12], 6).batch(1);
        let options = Options::default();
        let both = async {
            let whole = ctc.loss_and_grad_async(&batch.batch(), &options).await;
            (whole, ctc.loss_async(&batch.batch(), &options).await)
        };
        let (whole, loss) = pollster::block_on(both);
        let expected = ctc.loss_and_grad(&batch.batch(), &options).unwrap();
        assert_eq!(loss.unwrap().loss, expected.loss);
        assert_eq!(whole.unwrap(), expected);
    });
}

#[test]
fn a_lost_device_is_an_error_and_not_a_panic() {
    on_each(|ctc| {
        let batch = spec([2, 10, 5], 3).batch(3);
        let options = Options::default();
        ctc.loss_and_grad(&batch.batch(), &options).unwrap();
        ctc.device().unwrap().destroy();
        for _ in 0..2 {
            let error = ctc.loss_and_grad(&batch.batch(), &options).unwrap_err();
            assert!(matches!(error, Error::DeviceLost(_)), "{error}");
        }
        // A new shape needs pipelines and buffers, which cannot be created on a lost device either.
        let other = spec([3, 12, 600], 4).batch(4);
        let error = ctc.loss_and_grad(&other.batch(), &options).unwrap_err();
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
    });
}

#[test]
fn empty_batches_have_empty_outputs_and_a_reduced_loss_of_0() {
    on_each(|ctc| {
        for reduction in REDUCTIONS {
            let options = Options::default().reduction(reduction);
            let batch = Batch::new([0, 5, 3], &[]).labels(&[], &[]);
            let output = ctc.loss_and_grad(&batch, &options).unwrap();
            assert_eq!(
                (output.loss.len(), output.grad.len(), output.status.len()),
                (0, 0, 0)
            );
            assert_eq!(
                output.reduced,
                (reduction != Reduction::None).then_some(0.0),
                "{reduction:?}"
            );
        }
    });
}

#[test]
fn items_without_frames_and_labels_have_a_loss_of_0() {
    on_each(|ctc| {
        for reduction in REDUCTIONS {
            let options = Options::default().reduction(reduction);
            let batch = Batch::new([2, 0, 3], &[]).labels(&[1, 1], &[0, 1]);
            let output = ctc.loss_and_grad(&batch, &options).unwrap();
            assert_eq!(output.loss, [0.0, f32::INFINITY]);
            assert_eq!(output.status, [Status::Ok, Status::Impossible]);
            let reduced = (reduction != Reduction::None).then_some(f32::INFINITY);
            assert_eq!(output.reduced, reduced, "{reduction:?}");
            // Without any labels, their array is empty.
            let batch = Batch::new([2, 1, 1], &[3.0, -4.0]).labels(&[], &[0, 0]);
            assert_eq!(
                ctc.loss_and_grad(&batch, &options).unwrap().loss,
                [0.0, 0.0]
            );
        }
    });
}

#[test]
fn an_impossible_item_is_an_error_with_that_option() {
    on_each(|ctc| {
        let logits = [0.0; 2 * 3 * 4];
        let batch = Batch::new([2, 3, 4], &logits)
            .labels(&[1, 2, 1, 1], &[2, 2])
            .logit_lengths(&[3, 2]);
        let options = Options::default().impossible(Impossible::Error);
        let expected = Error::Impossible {
            item: 1,
            labels: 2,
            frames: 2,
        };
        assert_eq!(ctc.loss_and_grad(&batch, &options).unwrap_err(), expected);
        assert_eq!(ctc.loss(&batch, &options).unwrap_err(), expected);
    });
}

#[test]
fn a_batch_that_exceeds_a_buffer_is_computed_in_parts() {
    // Buffers of 256 KiB hold less than two of the five items. An item of a time-major batch
    // consists of 150 separate rows.
    let limits = wgpu::Limits {
        max_buffer_size: 1 << 18,
        max_storage_buffer_binding_size: 1 << 18,
        ..wgpu::Limits::default()
    };
    on_each_device_within(
        |_| limits.clone(),
        |gpu| {
            let parted = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
            assert_eq!(DeviceLimits::from(&gpu.device.limits()).max_buffer, 1 << 18);
            let whole = Ctc::cpu();
            let batch = spec([5, 150, 300], 20).batch(8);
            for batch in [batch.transposed(), batch] {
                for reduction in REDUCTIONS {
                    let options = Options::default().reduction(reduction);
                    let got = parted.loss_and_grad(&batch.batch(), &options).unwrap();
                    let expected = whole.loss_and_grad(&batch.batch(), &options).unwrap();
                    assert_eq!(got.status, expected.status);
                    let near = |a: f32, b: f32| a == b || (a - b).abs() <= 1e-6 * b.abs().max(1.0);
                    assert!(
                        got.loss
                            .iter()
                            .zip(&expected.loss)
                            .all(|(a, b)| near(*a, *b))
                    );
                    assert!(
                        got.grad
                            .iter()
                            .zip(&expected.grad)
                            .all(|(a, b)| (a - b).abs() <= 1e-5)
                    );
                    match (got.reduced, expected.reduced) {
                        (Some(a), Some(b)) => assert!(near(a, b), "{reduction:?}: {a}, not {b}"),
                        (a, b) => assert_eq!(a, b),
                    }
                }
            }
        },
    );
}
