//! Devices that are destroyed in the middle of something.

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

/// The device's listener tells here what became of it.
fn listened(gpu: &Gpu) -> mpsc::Receiver<wgpu::DeviceLostReason> {
    let (sender, receiver) = mpsc::channel();
    gpu.device
        .set_device_lost_callback(move |reason, _| sender.send(reason).unwrap_or_default());
    receiver
}

/// Told once that the device was destroyed, and then no more.
fn destroyed_once(gpu: &Gpu, lost: &mpsc::Receiver<wgpu::DeviceLostReason>) {
    // A callback runs while somebody polls.
    drop(gpu.device.poll(wgpu::PollType::wait_indefinitely()));
    let reason = lost.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(reason, wgpu::DeviceLostReason::Destroyed);
    assert!(lost.try_recv().is_err(), "told twice");
}

#[test]
fn a_plan_whose_device_was_destroyed_encodes_nothing_or_says_so_and_the_listener_stays_the_callers()
{
    on_each_device(|gpu| {
        let gpu = gpu.another().unwrap();
        let lost = listened(&gpu);
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&batches()[0]);
        let plan = ctc.plan(&batch.shape, &options()).unwrap();
        run(&gpu, &plan, &batch, BufferPlacement::Separate);
        let placed = GuardedBuffers::new(&gpu, &plan, &batch, BufferPlacement::Separate, ALL);

        gpu.device.destroy();
        let mut encoder = gpu.encoder();
        for _ in 0..2 {
            may_be_refused(plan.encode(&mut encoder, &placed.buffers()));
        }
        gpu.queue.submit([encoder.finish()]);
        // A plan more, of a shape that needs pipelines and buffers.
        let other = DeviceBatch::of(&batches()[1]);
        may_be_refused(ctc.plan(&other.shape, &options()));
        may_be_refused(GpuCtc::new(&gpu.device, &gpu.queue));
        destroyed_once(&gpu, &lost);
    });
}

/// wgpu ignores most calls on a lost device and tells its listener; what it refuses is an error with its reason.
fn may_be_refused<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert!(matches!(error, Error::Gpu { .. }), "{error}");
    }
}

#[test]
fn a_device_destroyed_between_submission_and_reading_back_is_an_error() {
    on_each_device(|gpu| {
        let gpu = gpu.another().unwrap();
        let lost = listened(&gpu);
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&batches()[0]);
        let plan = ctc.plan(&batch.shape, &options()).unwrap();
        let placed = GuardedBuffers::new(&gpu, &plan, &batch, BufferPlacement::OneBuffer, ALL);
        let mut encoder = gpu.encoder();
        plan.encode(&mut encoder, &placed.buffers()).unwrap();
        gpu.queue.submit([encoder.finish()]);
        gpu.device.destroy();
        destroyed_once(&gpu, &lost);

        // The host's calls on a device that nobody told them is lost: they have no listener there.
        let host = Ctc::on_device(&gpu.device, &gpu.queue).and_then(|ctc| {
            let batch = &batches()[0];
            ctc.loss_and_grad(&batch.batch(), &options())
        });
        let error = host.unwrap_err();
        assert!(
            matches!(error, Error::Gpu { .. } | Error::DeviceLost(_)),
            "{error}"
        );
        assert!(
            lost.try_recv().is_err(),
            "the caller's listener was told again"
        );
    });
}

/// The right answer, or that the device is gone.
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
            let mut answer = pin!(ctc.loss_and_grad_async(&batch, &options));
            // The first poll submits, and waits for nothing.
            let early = answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            ctc.device().unwrap().destroy();
            match early {
                Poll::Ready(result) => drop(right_or_lost(result, &expected)),
                Poll::Pending => drop(right_or_lost(pollster::block_on(answer), &expected)),
            }
            let after = ctc.loss_and_grad(&batch, &options);
            assert!(
                right_or_lost(after, &expected),
                "a destroyed device answered"
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
                        // Ends: the device is gone soon, for good.
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
