//! Values and gradients, compared with the reference, and with Burn's own loss where that is
//! correct.

use burn::nn::loss::{CTCLossConfig, Reduction};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, FloatDType, Int, IntDType, Tensor};
use ctc_wgpu_burn::{CtcLossConfig, CtcLossError};

use crate::support::{
    ALL_VIEWS, Case, LogitsView, assert_near, floats, loss_and_grad, routes, shared, unregistered,
    weights,
};

const SHAPES: [[usize; 4]; 4] = [
    [1, 1, 2, 1],
    [50, 32, 20, 12],
    [37, 3, 7, 5],
    [120, 2, 300, 40],
];

#[test]
fn every_view_of_logits_agrees_with_the_reference_on_every_route() {
    for shape in SHAPES {
        let case = Case::new(shape, 3.0);
        let expected = case.expected(&weights(case.items), false);
        for (route, device) in routes() {
            for view in ALL_VIEWS {
                let got = loss_and_grad(&case, view, false, &device.clone().autodiff());
                assert_near(&format!("{route}, {view:?}, {shape:?}"), &got, &expected);
            }
        }
    }
}

#[test]
fn burns_own_loss_agrees_where_it_is_correct() {
    let case = Case::new([50, 8, 20, 6], 2.0);
    for (route, device) in routes() {
        let device = device.autodiff();
        let leaf = case.logits(&device).require_grad();
        let (targets, input_lengths, target_lengths) = case.labels(&device);
        let losses = CTCLossConfig::new().init().forward(
            log_softmax(leaf.clone(), 2),
            targets,
            input_lengths,
            target_lengths,
        );
        let factors = Tensor::<1>::from_data(weights(case.items).as_slice(), &device);
        let grads = (losses.clone() * factors).sum().backward();
        let theirs = (
            floats(losses),
            floats(leaf.grad(&grads).expect("a gradient")),
        );
        let ours = loss_and_grad(&case, LogitsView::TimeMajor, false, &device);
        for (ours, theirs) in ours.0.iter().zip(&theirs.0) {
            assert!(
                (ours - theirs).abs() <= 1e-5 * theirs,
                "{route}: {ours}, {theirs}"
            );
        }
        for (ours, theirs) in ours.1.iter().zip(&theirs.1) {
            assert!((ours - theirs).abs() <= 1e-4, "{route}: {ours}, {theirs}");
        }
    }
}

#[test]
fn log_probabilities_are_logits_too() {
    let case = Case::new([37, 3, 7, 5], 3.0);
    let expected = case.expected(&vec![1.0; case.items], false);
    for (route, device) in routes() {
        let device = device.autodiff();
        let leaf = case.logits(&device).require_grad();
        let (targets, input_lengths, target_lengths) = case.labels(&device);
        let loss = CtcLossConfig::new().init();
        let losses = loss.forward(
            log_softmax(leaf.clone(), 2),
            targets,
            input_lengths,
            target_lengths,
        );
        let grads = losses.clone().sum().backward();
        let got = (
            floats(losses),
            floats(leaf.grad(&grads).expect("a gradient")),
        );
        assert_near(route, &got, &expected);
    }
}

#[test]
fn losses_without_autodiff_are_the_same() {
    let case = Case::new([50, 8, 20, 6], 2.0);
    let (expected, _) = case.expected(&weights(case.items), false);
    for (route, device) in routes() {
        let (targets, input_lengths, target_lengths) = case.labels(&device);
        let loss = CtcLossConfig::new().init();
        let losses = loss.forward(case.logits(&device), targets, input_lengths, target_lengths);
        for (got, want) in floats(losses).iter().zip(&expected) {
            assert!(
                (f64::from(*got) - want).abs() <= 1e-6 * want.max(1.0),
                "{route}"
            );
        }
    }
}

#[test]
fn all_reductions_equal_burns_own() {
    let case = Case::new([50, 8, 20, 6], 2.0);
    let (losses, _) = case.expected(&weights(case.items), false);
    let items = case.items as f64;
    let mean = losses.iter().zip(&case.target_lengths);
    let mean: f64 = mean
        .map(|(loss, length)| loss / f64::from(*length))
        .sum::<f64>()
        / items;
    let sum: f64 = losses.iter().sum();
    for (route, device) in routes() {
        for (reduction, expected) in [
            (Reduction::Mean, mean),
            (Reduction::Auto, mean),
            (Reduction::Sum, sum),
            (Reduction::BatchMean, sum / items),
        ] {
            let case_name = format!("{route}, {reduction:?}");
            let (targets, input_lengths, target_lengths) = case.labels(&device);
            let loss = CtcLossConfig::new().init();
            let logits = case.logits(&device);
            let got = loss.forward_with_reduction(
                logits,
                targets,
                input_lengths,
                target_lengths,
                reduction,
            );
            let got = f64::from(floats(got)[0]);
            assert!(
                (got - expected).abs() <= 1e-5 * expected,
                "{case_name}: {got}, expected {expected}"
            );
        }
    }
}

#[test]
fn another_blank_and_other_number_types_are_accepted() {
    let case = Case::new([37, 3, 7, 5], 3.0);
    for (route, device) in routes() {
        // The last class is the blank, and every label is decremented.
        let (targets, input_lengths, target_lengths) = case.labels(&device);
        let rotated = Tensor::cat(
            vec![
                case.logits(&device).slice([0..37, 0..3, 1..7]),
                case.logits(&device).slice([0..37, 0..3, 0..1]),
            ],
            2,
        );
        let loss = CtcLossConfig::new().with_blank(6).init();
        let losses = loss.forward(
            rotated,
            targets.clone() - 1,
            input_lengths.clone(),
            target_lengths.clone(),
        );
        let (expected, _) = case.expected(&[1.0; 3], false);
        for (got, want) in floats(losses).iter().zip(&expected) {
            assert!(
                (f64::from(*got) - want).abs() <= 1e-6 * want.max(1.0),
                "{route}"
            );
        }

        // Only flex supports these number types.
        if route == "flex" {
            let loss = CtcLossConfig::new().init();
            let wide = loss.forward(
                case.logits(&device).cast(FloatDType::F64),
                targets.cast(IntDType::I64),
                input_lengths.cast(IntDType::I16),
                target_lengths.cast(IntDType::I64),
            );
            assert_eq!(wide.dtype(), DType::F32);
            for (got, want) in floats(wide).iter().zip(&expected) {
                assert!((f64::from(*got) - want).abs() <= 1e-6 * want.max(1.0));
            }
        }
    }
}

#[test]
fn an_item_without_a_valid_alignment_is_infinite_or_zero_and_does_not_affect_others() {
    let mut case = Case::new([12, 3, 7, 5], 3.0);
    case.input_lengths[1] = 1;
    case.target_lengths[1] = 3;
    for zero in [false, true] {
        let expected = case.expected(&weights(case.items), zero);
        assert_eq!(expected.0[1], if zero { 0.0 } else { f64::INFINITY });
        for (route, device) in routes() {
            let got = loss_and_grad(&case, LogitsView::TimeMajor, zero, &device.autodiff());
            assert_near(&format!("{route}, {zero}"), &got, &expected);
        }
    }
}

#[test]
fn an_invalid_label_on_a_wgpu_device_affects_only_its_item() {
    let mut case = Case::new([12, 3, 7, 5], 3.0);
    let expected = case.expected(&weights(case.items), false);
    case.targets[case.max_labels] = 99;
    for device in [shared().0, unregistered()] {
        let (losses, grad) = loss_and_grad(&case, LogitsView::TimeMajor, false, &device.autodiff());
        assert!(losses[1].is_nan() && !losses[0].is_nan() && !losses[2].is_nan());
        for (row, numbers) in grad.chunks(case.classes).enumerate() {
            for (class, got) in numbers.iter().enumerate() {
                let want = if row % 3 == 1 {
                    0.0
                } else {
                    expected.1[row * case.classes + class]
                };
                assert!(
                    (f64::from(*got) - want).abs() < 2e-5,
                    "frame {}, item {}",
                    row / 3,
                    row % 3
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "item 1: label 99 at position 0 is out of range: expected 0 to 6 for 7 classes")]
fn an_invalid_label_on_the_host_panics_with_the_rule() {
    let mut case = Case::new([12, 3, 7, 5], 3.0);
    case.target_lengths[1] = 1;
    case.targets[case.max_labels] = 99;
    let _ = loss_and_grad(
        &case,
        LogitsView::TimeMajor,
        false,
        &Device::flex().autodiff(),
    );
}

#[test]
fn shapes_that_do_not_match_are_errors() {
    let device = Device::flex();
    let logits = Tensor::<3>::zeros([4, 2, 3], &device);
    let targets = |items: usize| Tensor::<2, Int>::ones([items, 1], &device);
    let lengths = |items: usize| Tensor::<1, Int>::ones([items], &device);
    let loss = CtcLossConfig::new();
    let error_of = |config: &CtcLossConfig, [a, b, c]: [usize; 3]| {
        let result = config
            .init()
            .try_forward(logits.clone(), targets(a), lengths(b), lengths(c));
        result.map(|_| ()).expect_err("an error")
    };
    for (items, array) in [
        ([1, 2, 2], "targets"),
        ([2, 3, 2], "input_lengths"),
        ([2, 2, 4], "target_lengths"),
    ] {
        let error = error_of(&loss, items);
        assert!(matches!(error, CtcLossError::Items { array: a, expected: 2, .. } if a == array));
        assert!(error.to_string().starts_with(array), "{error}");
    }
    let error = error_of(&loss.clone().with_blank(3), [2, 2, 2]);
    assert_eq!(
        error,
        CtcLossError::Blank {
            blank: 3,
            classes: 3
        }
    );
    // The config can be saved and loaded by Burn.
    use burn::config::Config;
    let path = std::env::temp_dir().join(format!("ctc-wgpu-burn-{}.json", std::process::id()));
    loss.with_zero_infinity(true).save(&path).expect("saved");
    let loaded = CtcLossConfig::load(&path).expect("loaded");
    assert!(loaded.zero_infinity && loaded.blank == 0);
    std::fs::remove_file(path).expect("the file exists");
}

#[test]
fn items_without_labels_are_valid() {
    for (route, device) in routes() {
        let loss = CtcLossConfig::new().init();
        // Without labels the loss is −Σ ln p(blank).
        let losses = loss.forward(
            Tensor::zeros([4, 2, 3], &device),
            Tensor::<2, Int>::zeros([2, 1], &device),
            Tensor::from_ints([4, 3], &device),
            Tensor::from_ints([0, 0], &device),
        );
        for (got, frames) in floats(losses).iter().zip([4.0, 3.0]) {
            assert!((got - frames * 3.0_f32.ln()).abs() < 1e-5, "{route}: {got}");
        }
    }
}
