//! Stages that loop: more items, and longer labels, than a workgroup has lanes, or than fit one
//! dispatch.

use ctc_wgpu::{Batch, Options, Reduction, RepeatedLabels};

use crate::support::adapters::on_each;
use crate::support::check::{Tolerance, compare, through};
use crate::support::random::BatchSpec;

#[test]
fn batch_totals_include_all_iterations_and_dispatches() {
    let weights: Vec<f32> = (0..700).map(|item| 0.25 + (item % 7) as f32).collect();
    let batch = BatchSpec::new([700, 4, 3], 2).batch(11).weights(&weights);
    on_each(|ctc| {
        let limits = *ctc.limits().unwrap();
        // Bindings with the lengths or weights of 512 items, so that the second dispatch continues
        // the sum of the first.
        for max_binding in [limits.max_binding, 2048] {
            let ctc = ctc.with_limits(&limits.max_binding(max_binding)).unwrap();
            for reduction in [Reduction::MeanVolume, Reduction::MeanWeighted] {
                let options = Options::default().reduction(reduction);
                let run = through(&ctc);
                let name = format!("{} {reduction:?} {max_binding}", ctc.backend());
                let found = compare(&name, &batch, &options, &run, Tolerance::F32);
                found.finish(&name).unwrap();
            }
        }
    });
}

#[test]
fn the_sum_of_weights_includes_those_that_f32_would_lose() {
    let items = 1 << 15;
    // Each lane adds small weights to a large one. In f32, 2^24 + 0.9 is 2^24, and the gradient
    // would be wrong by 7e-6.
    let weights: Vec<f32> = (0..items)
        .map(|item| if item < 256 { 16_777_216.0 } else { 0.9 })
        .collect();
    let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let (logits, ones) = (vec![0.0; items * 3], vec![1; items]);
    let batch = Batch::new([items, 1, 3], &logits)
        .labels(&ones, &ones)
        .weights(&weights);
    on_each(|ctc| {
        let options = Options::default().reduction(Reduction::MeanWeighted);
        let output = ctc.loss_and_grad(&batch, &options).unwrap();
        // Each class has probability 1/3, and the only path is the label, class 1.
        let of_item = [1.0 / 3.0, -2.0 / 3.0, 1.0 / 3.0];
        for (got, right) in output.grad.iter().zip(of_item) {
            let expected = right * f64::from(weights[0]) / sum;
            let error = (f64::from(*got) / expected - 1.0).abs();
            assert!(
                error < 1e-6,
                "{}: {got}, expected {expected}",
                ctc.backend()
            );
        }
    });
}

#[test]
fn labels_are_collapsed_across_all_iterations() {
    let spec = BatchSpec {
        repeats: 0.5,
        ragged: false,
        ..BatchSpec::new([6, 260, 8], 250)
    };
    let batch = spec.batch(12);
    let longest = (0..6).map(|item| batch.item_labels(item).len()).max();
    assert!(
        longest > Some(128),
        "{longest:?} labels take two iterations at most"
    );
    on_each(|ctc| {
        let options = Options::default().repeated_labels(RepeatedLabels::Collapse);
        let run = through(ctc);
        let name = ctc.backend().to_string();
        let found = compare(&name, &batch, &options, &run, Tolerance::F32);
        found.finish(&name).unwrap();
    });
}
