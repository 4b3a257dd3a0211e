//! Devices that are destroyed during a call, between calls, or between submission and reading back.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ctc_wgpu::{Ctc, Error, GpuCtc, LossAndGradOutput};

use super::{batches, options};
use crate::support::adapters::all;
use crate::support::device::{
    ALL, BufferPlacement, DeviceBatch, Gpu, GuardedBuffers, on_each_device, run,
};

/// Sets the device's callback for its loss. The receiver gets the reason.
fn set_lost_callback(gpu: &Gpu) -> mpsc::Receiver<wgpu::DeviceLostReason> {
    let (sender, receiver) = mpsc::channel();
    gpu.device
        .set_device_lost_callback(move |reason, _| sender.send(reason).unwrap_or_default());
    receiver
}

/// Checks that the callback was called exactly once, because the device was destroyed.
fn check_destroyed_once(gpu: &Gpu, lost: &mpsc::Receiver<wgpu::DeviceLostReason>) {
    // The callback runs during a poll.
    drop(gpu.device.poll(wgpu::PollType::wait_indefinitely()));
    let reason = lost.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(reason, wgpu::DeviceLostReason::Destroyed);
    assert!(lost.try_recv().is_err(), "the callback ran twice");
}

#[test]
fn a_plan_of_a_destroyed_device_does_not_panic_and_keeps_the_callers_lost_callback() {
    on_each_device(|gpu| {
        let gpu = gpu.another().unwrap();
        let lost = set_lost_callback(&gpu);
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&batches()[0]);
        let plan = ctc.plan(&batch.shape, &options()).unwrap();
        run(&gpu, &plan, &batch, BufferPlacement::Separate);
        let placed = GuardedBuffers::new(&gpu, &plan, &batch, BufferPlacement::Separate, ALL);

        gpu.device.destroy();
        let mut encoder = gpu.encoder();
        for _ in 0..2 {
            may_be_rejected(plan.encode(&mut encoder, &placed.buffers()));
        }
        gpu.queue.submit([encoder.finish()]);
        // Another plan, of a shape that needs new pipelines and buffers.
        let other = DeviceBatch::of(&batches()[1]);
        may_be_rejected(ctc.plan(&other.shape, &options()));
        may_be_rejected(GpuCtc::new(&gpu.device, &gpu.queue));
        check_destroyed_once(&gpu, &lost);
    });
}

/// Checks that a call on a lost device succeeded or returned an error of wgpu. wgpu ignores most
/// calls on a lost device, and only calls the device's callback.
fn may_be_rejected<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert!(matches!(error, Error::Gpu { .. }), "{error}");
    }
}

#[test]
fn a_device_destroyed_between_submission_and_reading_back_is_an_error() {
    on_each_device(|gpu| {
        let gpu = gpu.another().unwrap();
        let lost = set_lost_callback(&gpu);
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&batches()[0]);
        let plan = ctc.plan(&batch.shape, &options()).unwrap();
        let placed = GuardedBuffers::new(&gpu, &plan, &batch, BufferPlacement::OneBuffer, ALL);
        let mut encoder = gpu.encoder();
        plan.encode(&mut encoder, &placed.buffers()).unwrap();
        gpu.queue.submit([encoder.finish()]);
        gpu.device.destroy();
        check_destroyed_once(&gpu, &lost);

        // On a caller's device the library has no callback, so it cannot detect the loss
        // beforehand.
        let host = Ctc::on_device(&gpu.device, &gpu.queue).and_then(|ctc| {
            let batch = &batches()[0];
            ctc.loss_and_grad(&batch.batch(), &options())
        });
        let error = host.unwrap_err();
        assert!(
            matches!(error, Error::Gpu { .. } | Error::DeviceLost(_)),
            "{error}"
        );
        assert!(lost.try_recv().is_err(), "the caller's callback ran twice");
    });
}

/// Checks that a result is right or the loss of the device. Returns true for the loss.
fn right_or_lost(result: Result<LossAndGradOutput, Error>, expected: &LossAndGradOutput) -> bool {
    match result {
        Ok(output) => {
            assert_eq!(output, *expected);
            false
        }
        Err(error) => {
            assert!(matches!(error, Error::DeviceLost(_)), "{error}");
            true
        }
    }
}

#[test]
fn an_awaited_batch_whose_device_is_destroyed_after_its_submission_ends() {
    for adapter in &all() {
        let batch = &batches()[0];
        let expected = {
            let ctc = Ctc::on_adapter(adapter).unwrap();
            ctc.loss_and_grad(&batch.batch(), &options()).unwrap()
        };
        for _ in 0..6 {
            let ctc = Ctc::on_adapter(adapter).unwrap();
            let batch = batch.batch();
            let options = options();
            let mut output = pin!(ctc.loss_and_grad_async(&batch, &options));
            // The first poll submits the work without waiting.
            let early = output
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            ctc.device().unwrap().destroy();
            match early {
                Poll::Ready(result) => drop(right_or_lost(result, &expected)),
                Poll::Pending => drop(right_or_lost(pollster::block_on(output), &expected)),
            }
            let after = ctc.loss_and_grad(&batch, &options);
            assert!(
                right_or_lost(after, &expected),
                "a destroyed device computed a result"
            );
        }
    }
}

#[test]
fn a_device_destroyed_while_other_threads_call_ends_each_call_with_the_right_bits_or_the_loss() {
    for adapter in &all() {
        let batches = batches();
        let expected: Vec<_> = {
            let ctc = Ctc::on_adapter(adapter).unwrap();
            batches
                .iter()
                .map(|batch| ctc.loss_and_grad(&batch.batch(), &options()).unwrap())
                .collect()
        };
        for pause in [0, 1, 3, 10, 30, 100] {
            let ctc = Ctc::on_adapter(adapter).unwrap();
            std::thread::scope(|scope| {
                for start in 0..4 {
                    let (ctc, batches, expected) = (&ctc, &batches, &expected);
                    scope.spawn(move || {
                        // Ends as soon as the device is destroyed.
                        for i in (0..batches.len()).cycle().skip(start) {
                            let got = ctc.loss_and_grad(&batches[i].batch(), &options());
                            if right_or_lost(got, &expected[i]) {
                                break;
                            }
                        }
                    });
                }
                std::thread::sleep(Duration::from_millis(pause));
                ctc.device().unwrap().destroy();
            });
        }
    }
}
