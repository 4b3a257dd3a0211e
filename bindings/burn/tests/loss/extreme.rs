//! Batches on which Burn's own loss fails: losses above 10,000 nats, and more than 1,023 labels.

use burn::nn::loss::CTCLossConfig;
use burn::tensor::activation::log_softmax;

use crate::support::{
    Case, LogitsView, assert_near, floats, loss_and_grad, routes, shared, weights,
};

#[test]
fn losses_above_ten_thousand_nats_have_their_value_and_gradient() {
    // Equal logits over 1000 classes give 6.9 nats per frame.
    let case = Case::new([2000, 1, 1000, 20], 0.0);
    let expected = case.expected(&weights(1), false);
    assert!(expected.0[0] > 10_000.0);
    for (route, device) in routes() {
        let got = loss_and_grad(&case, LogitsView::TimeMajor, false, &device.autodiff());
        assert_near(route, &got, &expected);
    }
}

#[test]
fn burns_own_loss_is_infinite_above_ten_thousand_nats() {
    // If this fails, Burn has fixed it, and the documentation of this crate must change.
    let case = Case::new([2000, 1, 1000, 20], 0.0);
    let device = shared().0;
    let (targets, input_lengths, target_lengths) = case.labels(&device);
    let logits = log_softmax(case.logits(&device), 2);
    let loss = CTCLossConfig::new().init();
    let losses = loss.forward(logits, targets, input_lengths, target_lengths);
    assert_eq!(floats(losses), [f32::INFINITY]);
}

#[test]
fn more_labels_than_a_workgroup_holds_are_exact() {
    let case = Case::new([5000, 1, 20, 2000], 2.0);
    let expected = case.expected(&weights(1), false);
    for (route, device) in routes() {
        let got = loss_and_grad(&case, LogitsView::TimeMajor, false, &device.autodiff());
        assert_near(route, &got, &expected);
    }
}
