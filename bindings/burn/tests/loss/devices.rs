//! Devices: an application's own, several at once, several threads, and the backend without fusion.

use burn::backend::wgpu::{CubeBackend, CubeTensor, Wgpu};
use burn::tensor::{Device, Int, Tensor};
use ctc_wgpu_burn::{CtcLossConfig, CtcOps, CtcOptions, Layout, RegisterError};

use crate::support::{
    ALL_VIEWS, Case, LogitsView, assert_near, floats, loss_and_grad, own, shared, unregistered,
    weights,
};

/// Returns an application's own device, registered.
fn own_registered() -> Device {
    let (device, setup) = own();
    ctc_wgpu_burn::register(&device, &setup).expect("a device that can be shared");
    device
}

#[test]
fn an_applications_own_device_is_shared() {
    let case = Case::new([50, 8, 20, 6], 2.0);
    let expected = case.expected(&weights(case.items), false);
    let device = own_registered().autodiff();
    assert!(ctc_wgpu_burn::is_shared(&device));
    let got = loss_and_grad(&case, LogitsView::TimeMajor, false, &device);
    assert_near("own device", &got, &expected);
}

#[test]
fn halves_of_a_batch_on_two_devices_give_the_losses_of_the_whole() {
    let case = Case::new([50, 8, 20, 6], 2.0);
    let (expected, _) = case.expected(&weights(case.items), false);
    let devices = [shared().0, own_registered()];
    let halves = std::thread::scope(|scope| {
        let threads: Vec<_> = [0..4, 4..8]
            .into_iter()
            .zip(devices)
            .map(|(items, device)| {
                let case = &case;
                scope.spawn(move || {
                    let (targets, input_lengths, target_lengths) = case.labels(&device);
                    floats(CtcLossConfig::new().init().forward(
                        case.logits(&device).slice([0..50, items.clone(), 0..20]),
                        targets.slice([items.clone(), 0..6]),
                        input_lengths.slice([items.clone()]),
                        target_lengths.slice([items]),
                    ))
                })
            })
            .collect();
        let halves = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        halves.collect::<Vec<_>>().concat()
    });
    for (got, want) in halves.iter().zip(&expected) {
        assert!((f64::from(*got) - want).abs() <= 1e-6 * want.max(1.0));
    }
}

#[test]
fn threads_on_one_device_and_on_two_get_correct_results() {
    let cases: Vec<_> = [
        [50, 8, 20, 6],
        [37, 3, 7, 5],
        [50, 8, 20, 7],
        [64, 4, 30, 9],
    ]
    .map(|shape| Case::new(shape, 2.0))
    .into();
    let devices = [shared().0, unregistered()].map(Device::autodiff);
    std::thread::scope(|scope| {
        for (case, device) in cases
            .iter()
            .flat_map(|case| devices.iter().map(move |d| (case, d)))
        {
            let device = device.clone();
            scope.spawn(move || {
                let expected = case.expected(&weights(case.items), false);
                for _ in 0..10 {
                    let got = loss_and_grad(case, LogitsView::TimeMajor, false, &device);
                    assert_near("a thread", &got, &expected);
                }
            });
        }
    });
}

#[test]
fn more_shapes_than_the_plan_cache_holds_are_correct() {
    let device = shared().0.autodiff();
    for round in 0..2 {
        for frames in 10..22 {
            let case = Case::new([frames, 2, 5, 3], 2.0);
            let expected = case.expected(&weights(2), false);
            let got = loss_and_grad(&case, LogitsView::TimeMajor, false, &device);
            assert_near(&format!("round {round}, {frames} frames"), &got, &expected);
        }
    }
}

#[test]
fn gradient_checkpointing_changes_nothing() {
    let case = Case::new([37, 3, 7, 5], 3.0);
    let expected = case.expected(&[1.0; 3], false);
    let device = shared().0.autodiff().gradient_checkpointing();
    let leaf = case.logits(&device).require_grad();
    let (targets, input_lengths, target_lengths) = case.labels(&device);
    let loss = CtcLossConfig::new().init();
    let losses = loss.forward(leaf.clone() * 1.0, targets, input_lengths, target_lengths);
    let grads = losses.clone().sum().backward();
    let got = (
        floats(losses),
        floats(leaf.grad(&grads).expect("a gradient")),
    );
    assert_near("checkpointing", &got, &expected);
}

#[test]
fn the_backend_without_fusion_is_correct() {
    // `Fusion<CubeBackend>` only forwards to `CubeBackend`, which Burn uses directly without
    // fusion.
    let case = Case::new([50, 8, 20, 6], 2.0);
    let device = shared().0;
    let expected = case.expected(&vec![1.0; case.items], false);
    for view in [LogitsView::TimeMajor, LogitsView::SwappedBatchMajor] {
        let logits = float_primitive(case.logits(&device));
        let (logits, layout) = match view {
            LogitsView::TimeMajor => (logits, Layout::TimeMajor),
            _ => (swapped(logits), Layout::BatchMajor),
        };
        let (targets, input_lengths, target_lengths) = case.labels(&device);
        let options = CtcOptions {
            blank: 0,
            zero_infinity: false,
            layout,
        };
        let (loss, grad) = CubeBackend::ctc_losses_and_grad(
            logits,
            int_primitive(targets),
            int_primitive(input_lengths),
            int_primitive(target_lengths),
            options,
        );
        let grad = match view {
            LogitsView::TimeMajor => grad,
            _ => swapped(grad),
        };
        let got = (read(loss), read(grad));
        assert_near(&format!("no fusion, {view:?}"), &got, &expected);
    }
    assert_eq!(ALL_VIEWS.len(), 5);
}

fn float_primitive(tensor: Tensor<3>) -> CubeTensor {
    let fused = tensor.try_into_primitive::<Wgpu>().expect("a wgpu tensor");
    let client = fused.client.clone();
    client.resolve_tensor_float::<CubeBackend>(fused)
}

fn int_primitive<const D: usize>(tensor: Tensor<D, Int>) -> CubeTensor {
    let fused = tensor.try_into_primitive::<Wgpu>().expect("a wgpu tensor");
    let client = fused.client.clone();
    client.resolve_tensor_int::<CubeBackend>(fused)
}

fn swapped(tensor: CubeTensor) -> CubeTensor {
    use burn::backend::ops::FloatTensorOps;
    CubeBackend::float_swap_dims(tensor, 0, 1)
}

fn read(tensor: CubeTensor) -> Vec<f32> {
    use burn::backend::ops::FloatTensorOps;
    let data = burn::tensor::read_sync(CubeBackend::float_into_data(tensor)).expect("data");
    data.try_to_vec().expect("f32")
}

#[test]
fn a_device_of_another_kind_cannot_be_registered() {
    let (_, setup) = shared();
    let result = ctc_wgpu_burn::register(&Device::flex(), &setup);
    assert!(matches!(result, Err(RegisterError::NotWgpu(_))));
    assert!(!ctc_wgpu_burn::is_shared(&Device::flex()));
}
