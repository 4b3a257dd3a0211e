//! Compares the reference with the sum over all paths, which does not depend on the recursion.

use ctc_wgpu::{
    Blank, BlankInLabels, Input, Options, RepeatedLabels, RepeatedOutputs, Status, reference,
};

use crate::support::batch::OwnedBatch;
use crate::support::brute_force;
use crate::support::check::{Failures, close};
use crate::support::random::{BatchSpec, Rng};

/// Compares 200 batches of two items, with 1 to 6 frames and 2 to 4 classes.
fn agrees(what: &str, options: Options, blanks_among_labels: bool) {
    let mut failures = Failures::default();
    let mut possible = 0;
    for seed in 0..200 {
        let mut rng = Rng::new(1000 + seed);
        let classes = 2 + rng.below(3);
        let blank = rng.below(classes);
        let spec = BatchSpec {
            blank,
            repeats: 0.4,
            minus_infinity: 0.1,
            weights: true,
            ..BatchSpec::new(
                [2, 1 + rng.below(if classes == 4 { 5 } else { 6 }), classes],
                3,
            )
        };
        let mut batch = spec.batch(seed);
        if blanks_among_labels {
            put_blanks(&mut batch, blank, &mut rng);
        }
        if matches!(options.input, Input::Probs { .. }) {
            batch.values.iter_mut().for_each(|x| *x = x.exp());
        }
        let options = options.blank(Blank::Index(blank as u32));
        let output = reference::loss_and_grad(&batch.batch(), &options).unwrap();
        let (loss, grad) = brute_force::loss_and_grad(&batch, &options);
        possible += output.status.iter().filter(|s| **s == Status::Ok).count();
        for (item, (got, expected)) in output.loss.iter().zip(loss).enumerate() {
            failures.check(close(*got, expected, 1e-12), || {
                format!("seed {seed} item {item}: loss {got}, expected {expected}\n{batch:?}")
            });
        }
        for (at, (got, expected)) in output.grad.iter().zip(grad).enumerate() {
            failures.check(close(*got, expected, 1e-11), || {
                format!("seed {seed} element {at}: gradient {got}, expected {expected}")
            });
        }
    }
    assert!(
        possible > 100,
        "{what}: only {possible} of 400 items have a path"
    );
    failures.finish(what).unwrap();
}

/// Replaces some of the labels by the blank.
fn put_blanks(batch: &mut OwnedBatch, blank: usize, rng: &mut Rng) {
    let rows: Vec<Vec<i32>> = (0..batch.items())
        .map(|item| {
            let labels = batch.item_labels(item).into_iter();
            labels
                .map(|l| {
                    if rng.chance(0.4) {
                        blank as i32
                    } else {
                        l as i32
                    }
                })
                .collect()
        })
        .collect();
    batch.labels = crate::support::batch::padded(&rows);
}

#[test]
fn the_loss_sums_all_paths_that_collapse_to_the_labels() {
    agrees("logits", Options::default(), false);
}

#[test]
fn the_loss_sums_all_paths_for_every_kind_of_input() {
    for input in [
        Input::LogProbs,
        Input::LogProbsExact,
        Input::Probs { epsilon: 0.0 },
        Input::Probs { epsilon: 1e-3 },
    ] {
        agrees(
            &format!("{input:?}"),
            Options::default().input(input),
            false,
        );
    }
}

#[test]
fn collapsed_labels_have_no_repeats() {
    let repeated_labels = RepeatedLabels::Collapse;
    agrees(
        "collapse",
        Options::default().repeated_labels(repeated_labels),
        false,
    );
}

#[test]
fn distinct_outputs_are_not_merged() {
    let repeated_outputs = RepeatedOutputs::Distinct;
    agrees(
        "distinct",
        Options::default().repeated_outputs(repeated_outputs),
        false,
    );
}

#[test]
fn a_blank_among_the_labels_follows_pytorchs_rule() {
    for repeated_outputs in [RepeatedOutputs::Merge, RepeatedOutputs::Distinct] {
        let blank_in_labels = BlankInLabels::Allow;
        agrees(
            "allow",
            Options::default()
                .blank_in_labels(blank_in_labels)
                .repeated_outputs(repeated_outputs),
            true,
        );
    }
}

#[test]
fn the_enumeration_agrees_with_sums_by_hand() {
    // Two frames, classes {blank, a}: a-, -a and aa collapse to "a", and -- to the empty label.
    let half = [0.5; 4];
    let count = |labels: &[usize]| brute_force::sum_paths(&half, 2, labels, 0, &Options::default());
    assert_eq!(count(&[1]).probability, 0.75);
    assert_eq!(count(&[1]).through, [0.25, 0.5, 0.25, 0.5]);
    assert_eq!(count(&[]).probability, 0.25);
    assert_eq!(count(&[1, 1]).probability, 0.0);
    let repeated_outputs = RepeatedOutputs::Distinct;
    let distinct = Options::default().repeated_outputs(repeated_outputs);
    assert_eq!(
        brute_force::sum_paths(&half, 2, &[1, 1], 0, &distinct).probability,
        0.25
    );
}
