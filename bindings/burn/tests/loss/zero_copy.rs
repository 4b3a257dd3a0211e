//! Tests that the loss copies nothing to the host and does not wait. Reading from a queue waits for
//! all work submitted before, so each test submits a batch that keeps the device busy for a second;
//! the loss must return long before the device has finished.
//!
//! (Keeping the device busy with other work first would show the same, and include the backward
//! pass, but lavapipe finishes a submission only after the previous one.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use ctc_wgpu_burn::{CtcLossConfig, Layout};

use crate::support::{Case, floats, own};

/// Longer than a call needs to return, and much shorter than the batch takes.
const SOON: Duration = Duration::from_millis(50);

/// Returns true if the device finishes all submitted work within [`SOON`].
fn finishes_soon(setup: &WgpuSetup) -> bool {
    let done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&done);
    setup
        .queue
        .on_submitted_work_done(move || flag.store(true, Ordering::SeqCst));
    let start = Instant::now();
    loop {
        setup
            .device
            .poll(wgpu::PollType::Poll)
            .expect("the device is not lost");
        if done.load(Ordering::SeqCst) || start.elapsed() > SOON {
            return done.load(Ordering::SeqCst);
        }
        std::thread::yield_now();
    }
}

/// Returns true if the call for losses and gradient returns while the device still computes them.
/// Checks that two calls give the same results. With `reads` the call also reads the losses back.
fn returns_at_once(
    device: &Device,
    setup: &WgpuSetup,
    (layout, swapped): (Layout, bool),
    reads: bool,
) -> bool {
    let device = device.clone().autodiff();
    let case = Case::new([3000, 32, 32, 600], 2.0);
    let loss = CtcLossConfig::new().with_layout(layout).init();
    let leaf = match (layout, swapped) {
        (Layout::BatchMajor, false) => case.logits(&device).swap_dims(0, 1) * 1.0,
        _ => case.logits(&device),
    };
    let leaf = leaf.detach().require_grad();
    let (targets, input_lengths, target_lengths) = case.labels(&device);
    let forward = || {
        let logits = match swapped {
            true => leaf.clone().swap_dims(0, 1),
            false => leaf.clone(),
        };
        let losses = loss.forward(
            logits * 1.0,
            targets.clone(),
            input_lengths.clone(),
            target_lengths.clone(),
        );
        // Submits the work; otherwise Burn may only have recorded it.
        device.flush().expect("flushed");
        if reads {
            floats(losses.clone());
        }
        losses
    };
    let results = |losses: burn::tensor::Tensor<1>| {
        let grads = losses.clone().sum().backward();
        let grad = leaf.grad(&grads).expect("a gradient");
        (floats(losses), floats(grad))
    };
    // Compiles the kernels, builds the plan and waits until the device is idle.
    let expected = results(forward());

    let start = Instant::now();
    let losses = forward();
    let returned = start.elapsed();
    let at_once = !finishes_soon(setup);
    assert_eq!(results(losses), expected);
    if at_once {
        let took = start.elapsed();
        assert!(
            took > 4 * returned,
            "the call took {returned:?} of {took:?}"
        );
    }
    at_once
}

/// Layouts of the logits, and whether they are a view with swapped axes.
const VIEWS: [(Layout, bool); 3] = [
    (Layout::TimeMajor, false),
    (Layout::BatchMajor, false),
    (Layout::BatchMajor, true),
];

#[test]
fn the_loss_returns_while_the_device_computes_it() {
    // No other test uses this queue.
    let (device, setup) = own();
    ctc_wgpu_burn::register(&device, &setup).expect("a device that can be shared");
    for view in VIEWS {
        let at_once = returns_at_once(&device, &setup, view, false);
        assert!(at_once, "{view:?}: the call waited for the device");
    }
}

#[test]
fn the_loss_that_burn_launches_returns_while_the_device_computes_it() {
    let (device, setup) = own();
    assert!(!ctc_wgpu_burn::is_shared(&device));
    for view in VIEWS {
        let at_once = returns_at_once(&device, &setup, view, false);
        assert!(at_once, "{view:?}: the call waited for the device");
    }
}

#[test]
fn reading_the_losses_back_is_detected() {
    // Otherwise the tests above would prove nothing.
    let (device, setup) = own();
    assert!(!returns_at_once(&device, &setup, VIEWS[0], true));
}
