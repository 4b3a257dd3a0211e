//! Fuzzes the CPU backend: for a small batch it returns the same status as the float64 reference,
//! and losses and gradients within the tolerances that the crate documents.

use std::sync::LazyLock;

use ctc_wgpu::{Batch, Blank, Ctc, Error, Input, Options, Reduction, reference};

use crate::bytes::Bytes;
use crate::options;

static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

const LOSS_TOLERANCE: f64 = 1e-6;
const GRAD_TOLERANCE: f64 = 1e-5;

/// Runs the target on one input, and panics if the property does not hold.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let items = 1 + bytes.up_to(3);
    let classes = 1 + bytes.up_to(19);
    let frames = bytes.up_to(40);
    let width = bytes.up_to(12);
    let blank = bytes.up_to(classes - 1);
    let epsilon = bytes.choice(&[1e-7, 0.0, 1e-3, 1.0]);
    let options = options::generate(&mut bytes, Blank::Index(blank as u32), epsilon);
    let time_major = bytes.flag();
    let weighted = bytes.flag();
    let lengths: Vec<i32> = bytes.many(items, |bytes| bytes.up_to(width) as i32);
    let logit_lengths: Vec<i32> = bytes.many(items, |bytes| (frames - bytes.up_to(frames)) as i32);
    let labels: Vec<i32> = bytes.many(items * width, |bytes| bytes.up_to(classes - 1) as i32);
    let weights: Vec<f32> = bytes.many(items, |bytes| (f32::from(bytes.byte()) - 100.0) / 64.0);
    let values: Vec<f32> = bytes.many(items * frames * classes, |bytes| {
        value(bytes, options.input)
    });
    let batch = if time_major {
        Batch::time_major([frames, items, classes], &values)
    } else {
        Batch::new([items, frames, classes], &values)
    };
    let batch = batch
        .labels(&labels, &lengths)
        .logit_lengths(&logit_lengths);
    let batch = if weighted {
        batch.weights(&weights)
    } else {
        batch
    };
    let divisor: f32 = weights.iter().sum();
    // The sum of weights of both signs can be as small as its rounding error, and the weighted mean
    // divides by it.
    let ill_conditioned = weighted
        && options.reduction == Reduction::MeanWeighted
        && divisor.abs() < weights.iter().map(|w| w.abs()).sum::<f32>() / 4.0;
    if !ill_conditioned {
        compare(
            &batch,
            &options,
            &values,
            if weighted { &weights } else { &[] },
        );
    }
}

/// Returns an element of the input array that is usually in the range of its type.
fn value(bytes: &mut Bytes<'_>, input: Input) -> f32 {
    // Next to a logit of 1e22 the other logits are lost to rounding even in float64, so the
    // reference would not be exact. NaN and infinities stay.
    let number = match bytes.float() {
        number if number.is_finite() => number.clamp(-1e6, 1e6),
        number => number,
    };
    match input {
        Input::Logits => number,
        Input::LogProbs | Input::LogProbsExact => -number.abs(),
        // The CPU backend treats probabilities below the normal range as 0; the reference does not.
        Input::Probs { .. } => Some(number.abs() / 8.0)
            .filter(|p| *p >= 1.2e-38)
            .unwrap_or(0.0),
        other => panic!("no values are generated for {other:?}"),
    }
}

fn compare(batch: &Batch<'_>, options: &Options, values: &[f32], weights: &[f32]) {
    let (expected, got) = (
        reference::loss_and_grad(batch, options),
        CPU.loss_and_grad(batch, options),
    );
    let (expected, got) = match (expected, got) {
        (Ok(expected), Ok(got)) => (expected, got),
        (Err(expected), Err(got)) => return assert_eq!(expected, got),
        (Err(Error::Input(error)), got) => panic!("{error}, but the CPU backend returned {got:?}"),
        (expected, got) => panic!("reference: {expected:?}, CPU backend: {got:?}"),
    };
    assert_eq!(got.status, expected.status);
    for (item, (got, expected)) in got.loss.iter().zip(&expected.loss).enumerate() {
        assert!(
            close(f64::from(*got), *expected, LOSS_TOLERANCE),
            "item {item}: loss {got:e}, expected {expected:e}"
        );
    }
    let largest_weight = weights
        .iter()
        .fold(1.0, |largest: f64, w| largest.max(f64::from(w.abs())));
    let magnitudes: f64 = expected.loss.iter().filter(|l| l.is_finite()).sum();
    match (got.reduced, expected.reduced) {
        (None, None) => {}
        (Some(got), Some(expected)) => {
            let scale = magnitudes.max(1.0) * largest_weight;
            let near = (f64::from(got) - expected).abs() <= LOSS_TOLERANCE * scale;
            assert!(
                near || close(f64::from(got), expected, LOSS_TOLERANCE),
                "reduced loss {got:e}, expected {expected:e}"
            );
        }
        (got, expected) => panic!("reduced loss {got:?}, expected {expected:?}"),
    }
    for (at, (got, expected)) in got.grad.iter().zip(&expected.grad).enumerate() {
        // The gradient with respect to p is (q - γ) / (p + ε), so the rounding error of q - γ is
        // divided by p + ε on both sides.
        let divisor = match options.input {
            Input::Probs { epsilon } => f64::from((values[at] + epsilon).clamp(1e-38, 1.0)),
            _ => 1.0,
        };
        let valid = close(
            f64::from(*got) * divisor,
            *expected * divisor,
            GRAD_TOLERANCE * largest_weight,
        );
        assert!(
            valid,
            "element {at}: gradient {got:e}, expected {expected:e}"
        );
    }
}

/// Returns true if the numbers are equal, both NaN, or within `tolerance · max(1, |expected|)`.
fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() {
        return got.is_nan();
    }
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}
