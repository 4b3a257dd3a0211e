//! Special values in each kind of input: infinities, NaN, zeros, and rows that do not sum to 1.

use ctc_wgpu::Input;

use super::ordinary_items::{batch, default_options};
use super::{SemanticsCase, not_finite, ordinary, row, zero_loss};
use crate::batch::OwnedBatch;
use crate::random_case::log_probs;

const MINUS_INFINITY: f32 = f32::NEG_INFINITY;

fn probs(batch: OwnedBatch) -> OwnedBatch {
    let mut batch = log_probs(&batch);
    batch.values.iter_mut().for_each(|x| *x = x.exp());
    batch
}

pub(super) fn rows() -> Vec<SemanticsCase> {
    [not_finite_items(), conventions()]
        .into_iter()
        .flatten()
        .collect()
}

fn not_finite_items() -> Vec<SemanticsCase> {
    let options = default_options();
    // The value is in frame 1 of item 0. Item 1 must be unaffected.
    let with = |name, value: f32, input| {
        let mut batch = batch([2, 4, 4], &[&[1], &[2]]).logit_lengths(&[3, 4]);
        if matches!(input, Input::Probs { .. }) {
            batch = probs(batch);
        } else if input != Input::Logits {
            batch = log_probs(&batch);
        }
        batch.values[4 + 3] = value;
        row(
            name,
            batch,
            options.input(input),
            vec![not_finite(), ordinary()],
        )
    };
    let biased = Input::Probs { epsilon: 1e-7 };
    let mut all_minus_infinity = batch([2, 3, 4], &[&[1], &[2]]);
    all_minus_infinity.values[4..8].fill(MINUS_INFINITY);
    let mut all_zero = probs(batch([2, 3, 4], &[&[1], &[2]]));
    all_zero.values[4..8].fill(0.0);
    let mut past = batch([2, 4, 4], &[&[1, 2], &[3]]).logit_lengths(&[3, 2]);
    for (at, value) in [f32::NAN, f32::INFINITY, MINUS_INFINITY, 1e30]
        .into_iter()
        .enumerate()
    {
        past.values[12 + at] = value;
    }
    past.values[24..].fill(f32::NAN);
    let mut empty = batch([2, 2, 4], &[&[], &[1]]).logit_lengths(&[0, 2]);
    empty.values[..8].fill(f32::NAN);
    let mut masked = batch([2, 3, 4], &[&[1], &[2]]);
    masked.values[2] = MINUS_INFINITY;
    masked.values[5] = MINUS_INFINITY;
    let mut one_class = masked.clone();
    for (class, value) in [MINUS_INFINITY, 0.5, MINUS_INFINITY, MINUS_INFINITY]
        .into_iter()
        .enumerate()
    {
        one_class.values[4 + class] = value;
    }
    vec![
        with(
            "a NaN logit gives NaN for that item alone",
            f32::NAN,
            Input::Logits,
        ),
        with(
            "a logit of +inf gives NaN for that item alone",
            f32::INFINITY,
            Input::Logits,
        ),
        with(
            "a NaN log-probability gives NaN for that item alone",
            f32::NAN,
            Input::LogProbs,
        ),
        with(
            "a log-probability of +inf gives NaN for that item alone",
            f32::INFINITY,
            Input::LogProbsExact,
        ),
        with(
            "a NaN probability gives NaN for that item alone",
            f32::NAN,
            biased,
        ),
        with(
            "an infinite probability gives NaN for that item alone",
            f32::INFINITY,
            biased,
        ),
        with(
            "a negative probability gives NaN for that item alone",
            -0.25,
            biased,
        ),
        row(
            "a frame of -inf in all classes gives NaN for that item alone",
            all_minus_infinity.clone(),
            options,
            vec![not_finite(), ordinary()],
        ),
        row(
            "a frame of log-probabilities of -inf in all classes gives NaN",
            {
                let frame = all_minus_infinity.values[4..8].to_vec();
                let mut all_minus_infinity = log_probs(&all_minus_infinity);
                all_minus_infinity.values[4..8].copy_from_slice(&frame);
                all_minus_infinity
            },
            options.input(Input::LogProbs),
            vec![not_finite(), ordinary()],
        ),
        row(
            "a frame of probability 0 in all classes gives NaN if epsilon is 0",
            all_zero,
            options.input(Input::Probs { epsilon: 0.0 }),
            vec![not_finite(), ordinary()],
        ),
        row(
            "frames past the length are ignored, even if they are NaN",
            past.clone(),
            options,
            vec![ordinary(), ordinary()],
        ),
        row(
            "frames past the length are ignored in time-major order",
            past.transposed(),
            options,
            vec![ordinary(), ordinary()],
        ),
        row(
            "NaN does not affect an item without frames",
            empty,
            options,
            vec![zero_loss(), ordinary()],
        ),
        row(
            "a logit of -inf is a class of probability 0",
            masked,
            options,
            vec![ordinary(), ordinary()],
        ),
        row(
            "a frame with one possible class",
            one_class,
            options,
            vec![ordinary(), ordinary()],
        ),
    ]
}

fn conventions() -> Vec<SemanticsCase> {
    let options = default_options();
    let input = |input| options.input(input);
    let two: [&[i32]; 2] = [&[1, 2], &[3, 3]];
    let items = || vec![ordinary(), ordinary()];
    let biased = |epsilon| input(Input::Probs { epsilon });
    // Class 3 has probability 0 and is not a label of item 0: its gradient is 1/Σ, without a
    // division by 0.
    let mut zeros = probs(batch([2, 4, 4], &[&[1, 2], &[2]]));
    zeros.values[3] = 0.0;
    zeros.values[4 + 1] = 0.0;
    // Rows that sum to e^5: ln p is positive, so the loss is negative.
    let mut above_one = log_probs(&batch([1, 3, 4], &[&[1]]));
    above_one.values.iter_mut().for_each(|x| *x += 5.0);
    vec![
        row(
            "log-probabilities, with PyTorch's gradient",
            log_probs(&batch([2, 5, 4], &two)),
            input(Input::LogProbs),
            items(),
        ),
        row(
            "log-probabilities, with the true derivative",
            log_probs(&batch([2, 5, 4], &two)),
            input(Input::LogProbsExact),
            items(),
        ),
        row(
            "probabilities, with Keras's epsilon",
            probs(batch([2, 5, 4], &two)),
            biased(1e-7),
            items(),
        ),
        row(
            "probabilities, without epsilon",
            probs(batch([2, 5, 4], &two)),
            biased(0.0),
            items(),
        ),
        row(
            "probabilities that do not sum to 1 are normalised",
            {
                let mut batch = probs(batch([2, 5, 4], &two));
                batch.values.iter_mut().for_each(|p| *p *= 1.75);
                batch
            },
            biased(1e-3),
            items(),
        ),
        row(
            "the gradient of a probability of exactly 0 is that of the normalisation alone",
            zeros,
            biased(0.0),
            items(),
        ),
        row(
            "probabilities that sum to more than 1 may have a negative loss",
            above_one.clone(),
            input(Input::LogProbs),
            vec![ordinary()],
        ),
        row(
            "probabilities that sum to more than 1 may have a negative loss, with the true derivative",
            above_one,
            input(Input::LogProbsExact),
            vec![ordinary()],
        ),
    ]
}
