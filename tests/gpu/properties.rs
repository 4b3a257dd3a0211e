//! Properties of batches that proptest generates and shrinks.

use ctc_wgpu::{Blank, Ctc, LossAndGradOutput, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::adapters::{all, on_each};
use crate::support::batch::{OwnedBatch, OwnedLabels};
use crate::support::check::{Tolerance, compare, run_cases, through};
use crate::support::exponential;
use crate::support::extreme_values::{
    equally_probable_paths, far_below, huge_losses, impossible_in_spite_of_scores_above_0,
    masked_labels,
};
use crate::support::random::BatchSpec;

/// Generates distributions of batches, and seeds.
fn specs() -> impl Strategy<Value = (BatchSpec, u64)> {
    let sizes = (1_usize..6, 1_usize..60, 2_usize..24, 0_usize..20);
    let values = (
        prop::sample::select(vec![0.0_f32, 1.0, 10.0]),
        0.0..0.3_f32,
        0.0..0.9_f32,
    );
    (sizes, values, any::<[bool; 3]>(), any::<u64>()).prop_map(|(sizes, values, flags, seed)| {
        let (items, frames, classes, max_labels) = sizes;
        let (scale, minus_infinity, repeats) = values;
        let spec = BatchSpec {
            dims: [items, frames, classes],
            max_labels,
            blank: (seed % classes as u64) as usize,
            scale,
            repeats,
            minus_infinity,
            ragged: flags[0],
            weights: flags[1],
            concatenated: flags[2],
        };
        (spec, seed)
    })
}

/// Checks `property` for generated batches, on every adapter and on the CPU backend.
fn holds(cases: u32, property: impl Fn(&Ctc, &OwnedBatch, &Options) -> Result<(), TestCaseError>) {
    let check = |ctc: &Ctc| {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let result = TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        )
        .run(&specs(), |(spec, seed)| {
            let batch = spec.batch(seed);
            let blank = u32::try_from(spec.blank).unwrap();
            let options = Options::default().blank(Blank::Index(blank));
            property(ctc, &batch, &options)
        });
        if let Err(error) = result {
            panic!("on {}: {error}", ctc.backend());
        }
    };
    on_each(check);
    check(&Ctc::cpu());
}

fn run(ctc: &Ctc, batch: &OwnedBatch, options: &Options) -> LossAndGradOutput {
    ctc.loss_and_grad(&batch.batch(), options).unwrap()
}

/// Returns the bits of an output, in which NaN is equal to itself and 0 differs from −0.
fn bits(output: &LossAndGradOutput) -> (Vec<u32>, Vec<u32>) {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    (bits(&output.loss), bits(&output.grad))
}

/// Returns the gradient of one item in the order of its frames, as bits.
fn rows(batch: &OwnedBatch, grad: &[f32], item: usize) -> Vec<u32> {
    (0..batch.frames())
        .flat_map(|t| {
            grad[batch.row(item, t)..][..batch.classes()]
                .iter()
                .map(|g| g.to_bits())
        })
        .collect()
}

#[test]
fn kernels_and_cpu_backend_agree_with_the_reference() {
    holds(40, |ctc, batch, options| {
        let run = through(ctc);
        let mut failures = compare("generated", batch, options, &run, Tolerance::F32);
        let other = batch.transposed();
        failures.case(compare("transposed", &other, options, &run, Tolerance::F32));
        prop_assert!(failures.is_empty(), "{failures:?}");
        Ok(())
    });
}

#[test]
fn the_rows_of_a_gradient_with_respect_to_logits_sum_to_0() {
    holds(40, |ctc, batch, options| {
        let output = run(ctc, batch, options);
        for (index, row) in output.grad.chunks(batch.classes()).enumerate() {
            let item = batch.position(index * batch.classes())[0];
            let weight = batch.weights.as_ref().map_or(1.0, |w| w[item].abs());
            let sum: f64 = row.iter().map(|g| f64::from(*g)).sum();
            // A frame that is not a distribution has a gradient of NaN.
            prop_assert!(
                sum.is_nan() || sum.abs() <= 2e-6 * f64::from(weight.max(1.0)),
                "row {index} sums to {sum}"
            );
        }
        Ok(())
    });
}

#[test]
fn permuting_the_classes_permutes_the_gradient() {
    holds(40, |ctc, batch, options| {
        let classes = batch.classes();
        // Reverses the order, so that every class moves, except the middle one of an odd number.
        let moved = |class: usize| classes - 1 - class;
        let mut other = batch.clone();
        for (row, source) in other
            .values
            .chunks_mut(classes)
            .zip(batch.values.chunks(classes))
        {
            for (class, value) in source.iter().enumerate() {
                row[moved(class)] = *value;
            }
        }
        let (OwnedLabels::Padded { values, .. } | OwnedLabels::Concatenated { values, .. }) =
            &mut other.labels
        else {
            return Err(TestCaseError::fail(
                "the labels must be padded or concatenated",
            ));
        };
        for label in values.iter_mut().filter(|label| **label >= 0) {
            *label = i32::try_from(moved(usize::try_from(*label).unwrap())).unwrap();
        }
        let Blank::Index(blank) = options.blank else {
            return Err(TestCaseError::fail("the blank must be an index"));
        };
        let blank = Blank::Index(u32::try_from(moved(blank as usize)).unwrap());
        let (a, b) = (
            run(ctc, batch, options),
            run(ctc, &other, &options.blank(blank)),
        );
        prop_assert_eq!(&a.status, &b.status);
        for (at, got) in a.grad.iter().enumerate() {
            let want = b.grad[at / classes * classes + moved(at % classes)];
            let same =
                got.is_nan() && want.is_nan() || (got - want).abs() <= 1e-5 * want.abs().max(1.0);
            prop_assert!(same, "element {at}: {got} and {want}");
        }
        Ok(())
    });
}

#[test]
fn an_item_alone_equals_the_item_in_a_batch_bit_for_bit() {
    holds(30, |ctc, batch, options| {
        let together = run(ctc, batch, options);
        for item in 0..batch.items() {
            // Alone, the item also has a smaller Lmax and is batch-major.
            let alone = batch.alone(item);
            let output = run(ctc, &alone, options);
            prop_assert_eq!(output.loss[0].to_bits(), together.loss[item].to_bits());
            prop_assert_eq!(output.status[0], together.status[item]);
            prop_assert_eq!(
                rows(&alone, &output.grad, 0),
                rows(batch, &together.grad, item)
            );
        }
        Ok(())
    });
}

#[test]
fn two_runs_are_equal_bit_for_bit() {
    holds(30, |ctc, batch, options| {
        let first = run(ctc, batch, options);
        for _ in 0..3 {
            prop_assert_eq!(bits(&first), bits(&run(ctc, batch, options)));
        }
        let loss = ctc.loss(&batch.batch(), options).unwrap();
        let losses: Vec<u32> = loss.loss.iter().map(|l| l.to_bits()).collect();
        prop_assert_eq!(bits(&first).0, losses, "the losses alone");
        Ok(())
    });
}

#[test]
fn frames_past_the_logit_length_do_not_affect_the_output() {
    holds(30, |ctc, batch, options| {
        let clean = run(ctc, batch, options);
        for garbage in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let mut dirty = batch.clone();
            for item in 0..batch.items() {
                for frame in batch.valid_frames(item)..batch.frames() {
                    let start = batch.row(item, frame);
                    dirty.values[start..start + batch.classes()].fill(garbage);
                }
            }
            prop_assert_eq!(
                bits(&clean),
                bits(&run(ctc, &dirty, options)),
                "{} in the padding",
                garbage
            );
        }
        Ok(())
    });
}

#[test]
fn losses_of_extreme_values_are_right() {
    for adapter in &all() {
        let ctc = Ctc::on_adapter(adapter).unwrap();
        exponential::compensates_rounding(&ctc);
        let impossible = impossible_in_spite_of_scores_above_0();
        run_cases("scores above 0", impossible, &through(&ctc), Tolerance::F32);
        let limits = *ctc.limits().unwrap();
        for max_register_quads in [limits.max_register_quads, 0] {
            let ctc = ctc
                .with_limits(&limits.max_register_quads(max_register_quads))
                .unwrap();
            println!("{}, {max_register_quads} quads in registers", ctc.backend());
            let run = through(&ctc);
            run_cases("huge losses", huge_losses(), &run, Tolerance::F32);
            run_cases("masked labels", masked_labels(), &run, Tolerance::F32);
            run_cases("far below", far_below(), &run, Tolerance::F32);
            let tied = equally_probable_paths();
            run_cases("equally probable paths", tied, &run, Tolerance::F32);
        }
    }
}

#[test]
fn the_exponential_has_no_bias() {
    on_each(exponential::is_unbiased);
}
