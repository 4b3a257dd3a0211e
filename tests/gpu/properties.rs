//! What holds of every batch, on random ones that shrink when they fail.

use ctc_wgpu::{Blank, Ctc, Options, Reduction};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::adapters::on_each;
use crate::support::batch::{OwnedBatch, OwnedLabels, PADDING};
use crate::support::check::{Answer, Failures, Tolerance, close};
use crate::support::device::Outputs;
use crate::support::properties::compare;
use crate::support::random::{Recipe, Rng};

/// A batch, and how its labels and its input are laid out.
#[derive(Debug, Clone)]
struct Case {
    recipe: Recipe,
    labels: LabelForm,
    time_major: bool,
    reduction: Reduction,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum LabelForm {
    Padded,
    Concatenated,
    Sparse,
    Masked,
}

fn case() -> impl Strategy<Value = Case> {
    let dims = (1_usize..7, 1_usize..60, 1_usize..40);
    let numbers = (
        prop::sample::select(vec![0.0_f32, 1.0, 5.0, 30.0]),
        prop::sample::select(vec![0.0_f32, 0.3, 0.9]),
        prop::sample::select(vec![0.0_f32, 0.0, 0.1, 0.5]),
    );
    let forms = prop::sample::select(vec![
        LabelForm::Padded,
        LabelForm::Concatenated,
        LabelForm::Sparse,
        LabelForm::Masked,
    ]);
    let reductions = prop::sample::select(vec![
        Reduction::None,
        Reduction::Sum,
        Reduction::MeanBatch,
        Reduction::MeanLabel,
        Reduction::MeanVolume,
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let sizes = (0_usize..25, any::<prop::sample::Index>(), any::<u64>());
    (dims, numbers, forms, reductions, flags, sizes).prop_map(
        |((n, t, c), (scale, repeats, gone), labels, reduction, flags, (most, blank, seed))| Case {
            recipe: Recipe {
                blank: blank.index(c),
                scale,
                repeats,
                minus_infinity: gone,
                ragged: flags.0,
                weights: flags.1,
                ..Recipe::new([n, t, c], most)
            },
            labels,
            time_major: flags.2,
            reduction,
            seed,
        },
    )
}

impl Case {
    fn batch(&self) -> OwnedBatch {
        let batch = self.recipe.batch(self.seed);
        let lists: Vec<Vec<i32>> = (0..batch.items()).map(|n| labels_of(&batch, n)).collect();
        // Wider than the longest, so that an item alone can be given the same width.
        let width = self.recipe.max_labels;
        let batch = batch.labels(laid_out(self.labels, &lists, width));
        if self.time_major {
            batch.transposed()
        } else {
            batch
        }
    }

    fn options(&self) -> Options {
        Options {
            blank: Blank::Index(self.recipe.blank as u32),
            reduction: self.reduction,
            ..Options::default()
        }
    }
}

fn labels_of(batch: &OwnedBatch, item: usize) -> Vec<i32> {
    batch.item_labels(item).iter().map(|l| *l as i32).collect()
}

fn laid_out(form: LabelForm, lists: &[Vec<i32>], width: usize) -> OwnedLabels {
    let row = |list: &Vec<i32>| [list.clone(), vec![PADDING; width - list.len()]].concat();
    let padded: Vec<i32> = lists.iter().flat_map(row).collect();
    match form {
        LabelForm::Padded => OwnedLabels::Padded {
            values: padded,
            lengths: lists.iter().map(|list| list.len() as i32).collect(),
        },
        LabelForm::Masked => OwnedLabels::Masked {
            values: padded,
            paddings: lists
                .iter()
                .flat_map(|list| (0..width).map(|at| f32::from(u8::from(at >= list.len()))))
                .collect(),
        },
        LabelForm::Concatenated => crate::support::batch::concatenated(lists),
        LabelForm::Sparse => OwnedLabels::Sparse {
            indices: lists
                .iter()
                .zip(0_i64..)
                .flat_map(|(list, item)| (0..list.len() as i64).map(move |at| [item, at]))
                .collect(),
            values: lists.concat(),
            shape: [lists.len(), width],
        },
    }
}

/// Runs `property` on `cases` random batches, on each adapter and on the twin.
fn hold(cases: u32, property: impl Fn(&Ctc, &Case) -> Result<(), TestCaseError>) {
    let run = |ctc: &Ctc| {
        let config = Config {
            cases,
            failure_persistence: None,
            // The same cases on every run: a failure that comes and goes helps nobody.
            rng_seed: proptest::test_runner::RngSeed::Fixed(0xC7C),
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let result = runner.run(&case(), |case| property(ctc, &case));
        if let Err(error) = result {
            panic!("on {}: {error}", ctc.backend());
        }
    };
    run(&Ctc::cpu());
    on_each(run);
}

fn outputs(ctc: &Ctc, batch: &OwnedBatch, options: &Options) -> Outputs {
    ctc.loss_and_grad(&batch.batch(), options).unwrap().into()
}

#[test]
fn kernels_twin_and_reference_agree_on_any_batch() {
    hold(120, |ctc, case| {
        let mut failures = Failures::default();
        let run = |batch: &ctc_wgpu::Batch<'_>, options: &Options| {
            ctc.loss_and_grad(batch, options).map(Answer::from)
        };
        compare(
            "a random batch",
            &case.batch(),
            &case.options(),
            &run,
            Tolerance::F32,
            &mut failures,
        );
        failures.finish("a random batch");
        Ok(())
    });
}

#[test]
fn the_gradient_of_each_frame_sums_to_zero() {
    hold(60, |ctc, case| {
        let batch = case.batch();
        let answer = ctc.loss_and_grad(&batch.batch(), &case.options()).unwrap();
        for row in answer.grad.chunks(batch.classes()) {
            let sum: f64 = row.iter().map(|g| f64::from(*g)).sum();
            // No weight is above 2.
            prop_assert!(sum.abs() <= 2.0 * Tolerance::F32.grad, "{sum:e}");
        }
        Ok(())
    });
}

#[test]
fn classes_in_another_order_have_their_gradient_in_that_order() {
    hold(60, |ctc, case| {
        let batch = case.batch();
        let classes = batch.classes();
        let mut order: Vec<usize> = (0..classes).collect();
        let mut rng = Rng::new(case.seed);
        for last in (1..classes).rev() {
            order.swap(last, rng.below(last + 1));
        }
        let mut moved = batch.clone();
        for (to, from) in moved
            .values
            .chunks_mut(classes)
            .zip(batch.values.chunks(classes))
        {
            for (class, value) in from.iter().enumerate() {
                to[order[class]] = *value;
            }
        }
        let lists: Vec<Vec<i32>> = (0..batch.items())
            .map(|n| {
                let labels = batch.item_labels(n);
                labels.iter().map(|label| order[*label] as i32).collect()
            })
            .collect();
        let moved = moved.labels(laid_out(case.labels, &lists, case.recipe.max_labels));
        let options = case.options();
        let there = Options {
            blank: Blank::Index(order[case.recipe.blank] as u32),
            ..options
        };
        let a = ctc.loss_and_grad(&batch.batch(), &options).unwrap();
        let b = ctc.loss_and_grad(&moved.batch(), &there).unwrap();
        prop_assert_eq!(&a.status, &b.status);
        for (a, b) in a.loss.iter().zip(&b.loss) {
            prop_assert!(
                close((*a).into(), (*b).into(), Tolerance::F32.loss),
                "{a} {b}"
            );
        }
        for (a, b) in a.grad.chunks(classes).zip(b.grad.chunks(classes)) {
            for (class, a) in a.iter().enumerate() {
                let b = b[order[class]];
                let close = close((*a).into(), b.into(), Tolerance::F32.grad);
                prop_assert!(close, "{a} {b}");
            }
        }
        Ok(())
    });
}

#[test]
fn an_item_alone_equals_the_item_in_a_batch_bit_for_bit() {
    hold(40, |ctc, case| {
        // What a reduction divides by is the batch's, not the item's.
        let options = Options {
            reduction: Reduction::None,
            ..case.options()
        };
        let batch = case.batch();
        let together = outputs(ctc, &batch, &options);
        for item in 0..batch.items() {
            let labels = labels_of(&batch, item);
            let alone = batch.alone(item);
            let alone = alone.labels(laid_out(
                LabelForm::Padded,
                &[labels],
                width_in(&batch, case),
            ));
            let got = outputs(ctc, &alone, &options);
            let rows = (0..batch.frames()).map(|t| batch.row(item, t));
            let expected = Outputs {
                loss: vec![together.loss[item]],
                status: vec![together.status[item]],
                reduced: Vec::new(),
                grad: rows
                    .flat_map(|at| together.grad[at..at + batch.classes()].to_vec())
                    .collect(),
            };
            got.same(&expected, &format!("item {item}"));
        }
        Ok(())
    });
}

/// The width that the library plans a batch's labels with: rows are as wide as given, and the longest of labels without
/// rows is rounded up.
fn width_in(batch: &OwnedBatch, case: &Case) -> usize {
    let longest = (0..batch.items()).map(|n| batch.item_labels(n).len()).max();
    match case.labels {
        LabelForm::Padded | LabelForm::Masked => case.recipe.max_labels,
        LabelForm::Concatenated | LabelForm::Sparse => longest.unwrap_or(0).next_power_of_two(),
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    hold(40, |ctc, case| {
        let (batch, options) = (case.batch(), case.options());
        let first = outputs(ctc, &batch, &options);
        let again = outputs(ctc, &batch, &options);
        again.same(&first, "another run");
        Ok(())
    });
}

#[test]
fn frames_past_the_length_do_not_matter_whatever_they_hold() {
    hold(40, |ctc, case| {
        let (batch, options) = (case.batch(), case.options());
        let expected = outputs(ctc, &batch, &options);
        for filler in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30] {
            let mut filled = batch.clone();
            for item in 0..batch.items() {
                for frame in batch.counting(item)..batch.frames() {
                    let at = batch.row(item, frame);
                    filled.values[at..at + batch.classes()].fill(filler);
                }
            }
            outputs(ctc, &filled, &options).same(&expected, &format!("{filler}"));
        }
        Ok(())
    });
}
