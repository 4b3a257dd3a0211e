//! Two opinions of a small batch: the float64 reference's and the cpu_backend's. The status is the same, and the numbers are
//! within the tolerance that the crate promises.

use std::sync::LazyLock;

use ctc_wgpu::{Batch, Blank, Ctc, Error, Input, Options, Reduction, reference};

use crate::bytes::Bytes;
use crate::draw;

static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

const LOSS: f64 = 1e-6;
const GRAD: f64 = 1e-5;

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let items = 1 + bytes.up_to(3);
    let classes = 1 + bytes.up_to(19);
    let frames = bytes.up_to(40);
    let width = bytes.up_to(12);
    let blank = bytes.up_to(classes - 1);
    let epsilon = bytes.choice(&[1e-7, 0.0, 1e-3, 1.0]);
    let options = draw::options(&mut bytes, Blank::Index(blank as u32), epsilon);
    let time_major = bytes.flag();
    let weighted = bytes.flag();
    let lengths: Vec<i32> = bytes.many(items, |bytes| bytes.up_to(width) as i32);
    let frames_of: Vec<i32> = bytes.many(items, |bytes| (frames - bytes.up_to(frames)) as i32);
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
    let batch = batch.labels(&labels, &lengths).logit_lengths(&frames_of);
    let batch = if weighted {
        batch.weights(&weights)
    } else {
        batch
    };
    let divisor: f32 = weights.iter().sum();
    // The mean over weights of both signs has a divisor as small as rounding.
    let reckless = weighted
        && options.reduction == Reduction::MeanWeighted
        && divisor.abs() < weights.iter().map(|w| w.abs()).sum::<f32>() / 4.0;
    if !reckless {
        compare(
            &batch,
            &options,
            &values,
            if weighted { &weights } else { &[] },
        );
    }
}

/// Scores that mean something, most of the time.
fn value(bytes: &mut Bytes<'_>, input: Input) -> f32 {
    // What is not finite stays. Beside a logit of 1e22 the others are lost in float64, and with them the judge.
    let any = bytes.float();
    let any = if any.is_finite() {
        any.clamp(-1e6, 1e6)
    } else {
        any
    };
    match input {
        Input::Logits => any,
        Input::LogProbs | Input::LogProbsExact => -any.abs(),
        // What is not a normal number, or hardly one, counts as 0, which the reference does not know.
        Input::Probs { .. } => Some(any.abs() / 8.0)
            .filter(|p| *p >= 1.2e-38)
            .unwrap_or(0.0),
        other => panic!("no values are drawn for {other:?}"),
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
        (Err(Error::Input(error)), got) => panic!("{error}, but the cpu_backend said {got:?}"),
        (expected, got) => panic!("the reference {expected:?}, the cpu_backend {got:?}"),
    };
    assert_eq!(got.status, expected.status);
    for (item, (got, expected)) in got.loss.iter().zip(&expected.loss).enumerate() {
        assert!(
            close(f64::from(*got), *expected, LOSS),
            "item {item}: loss {got:e}, not {expected:e}"
        );
    }
    let magnitudes: f64 = expected.loss.iter().filter(|l| l.is_finite()).sum();
    match (got.reduced, expected.reduced) {
        (None, None) => {}
        (Some(got), Some(expected)) => {
            let most = magnitudes.max(1.0)
                * weights
                    .iter()
                    .fold(1.0, |most: f64, w| most.max(f64::from(w.abs())));
            let near = (f64::from(got) - expected).abs() <= LOSS * most;
            assert!(
                near || close(f64::from(got), expected, LOSS),
                "reduced {got:e}, not {expected:e}"
            );
        }
        (got, expected) => panic!("reduced {got:?}, not {expected:?}"),
    }
    let largest = weights
        .iter()
        .fold(1.0, |most: f64, w| most.max(f64::from(w.abs())));
    for (at, (got, expected)) in got.grad.iter().zip(&expected.grad).enumerate() {
        // A gradient with respect to p is (q - γ) / (p + ε): what rounding did to q - γ is divided too, in either opinion.
        let divisor = match options.input {
            Input::Probs { epsilon } => f64::from((values[at] + epsilon).clamp(1e-38, 1.0)),
            _ => 1.0,
        };
        let right = close(
            f64::from(*got) * divisor,
            *expected * divisor,
            GRAD * largest,
        );
        assert!(right, "element {at}: gradient {got:e}, not {expected:e}");
    }
}

/// Equal, both NaN, or within `tolerance · max(1, |expected|)`.
fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() {
        return got.is_nan();
    }
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}
