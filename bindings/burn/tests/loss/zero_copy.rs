//! Nothing is copied to the host and nothing waits. What is read from a queue waits for all that was submitted before: so a
//! batch is taken that keeps the device busy for a second, and the loss must be back long before it is done.
//!
//! (To keep the device busy with other work first would show the same, and the backward pass too; but lavapipe ends a submission
//! only after the one before.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use ctc_wgpu_burn::{CtcLossConfig, Layout};

use crate::support::{Case, floats, own};

/// Long after a call has returned, short beside the batch.
const SOON: Duration = Duration::from_millis(50);

/// Whether all that was submitted up to now is done soon.
fn is_done_soon(setup: &WgpuSetup) -> bool {
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    setup
        .queue
        .on_submitted_work_done(move || told.store(true, Ordering::SeqCst));
    let start = Instant::now();
    loop {
        setup
            .device
            .poll(wgpu::PollType::Poll)
            .expect("a living device");
        if done.load(Ordering::SeqCst) || start.elapsed() > SOON {
            return done.load(Ordering::SeqCst);
        }
        std::thread::yield_now();
    }
}

/// Whether losses and gradient are asked for and the call is over while the device still computes them; and that they are the
/// same each time. `reads`: the call reads something back.
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
        // It goes to the queue, and does not only stand in Burn's list of what to do.
        device.flush().expect("flushed");
        if reads {
            floats(losses.clone());
        }
        losses
    };
    let answer = |losses: burn::tensor::Tensor<1>| {
        let grads = losses.clone().sum().backward();
        let grad = leaf.grad(&grads).expect("a gradient");
        (floats(losses), floats(grad))
    };
    // Everything is compiled and planned, and nothing is under way.
    let expected = answer(forward());

    let start = Instant::now();
    let losses = forward();
    let returned = start.elapsed();
    let at_once = !is_done_soon(setup);
    assert_eq!(answer(losses), expected);
    if at_once {
        let took = start.elapsed();
        assert!(
            took > 4 * returned,
            "it took {returned:?} of {took:?} to ask"
        );
    }
    at_once
}

/// How logits are handed over: as they lie, and as a view.
const WAYS: [(Layout, bool); 3] = [
    (Layout::TimeMajor, false),
    (Layout::BatchMajor, false),
    (Layout::BatchMajor, true),
];

#[test]
fn the_loss_returns_while_the_device_computes_it() {
    // A queue that no other test uses.
    let (device, setup) = own();
    ctc_wgpu_burn::register(&device, &setup).expect("a device that can be shared");
    for way in WAYS {
        let at_once = returns_at_once(&device, &setup, way, false);
        assert!(at_once, "{way:?}: something waited for the device");
    }
}

#[test]
fn so_does_the_loss_that_burn_launches() {
    // Of this device nobody has told.
    let (device, setup) = own();
    assert!(!ctc_wgpu_burn::is_shared(&device));
    for way in WAYS {
        let at_once = returns_at_once(&device, &setup, way, false);
        assert!(at_once, "{way:?}: something waited for the device");
    }
}

#[test]
fn the_same_observation_sees_what_is_read_back() {
    // If it were not seen, the tests above would see nothing.
    let (device, setup) = own();
    assert!(!returns_at_once(&device, &setup, WAYS[0], true));
}
