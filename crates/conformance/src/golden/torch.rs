//! `ctc_torch_f64.json`: the results of PyTorch in float64 and of the generator's own float64
//! recursion, with TensorFlow's and Keras's results for the same batches, from their files.

use ctc_wgpu::{Blank, Impossible, Input, Options, Reduction, Status};
use serde_json::Value;

use super::{
    Accuracy, Expectation, Golden, Grad, file, frames_needed, generate, integer_lists, integers,
    list, log_softmax, natural, number, numbers, packed, tensorflow, text,
};
use crate::batch::{OwnedBatch, concatenated, padded};

/// The file has 17 digits of losses and 12 of gradients. The recursions of PyTorch and of the
/// generator differ by up to 5e-11 at T = 4000.
const PRINTED: Accuracy = Accuracy {
    loss: 1e-12,
    grad: 1e-10,
};

/// Returns the cases.
pub fn cases() -> Vec<Golden> {
    let tensorflow = file("ctc_tensorflow");
    let keras = file("keras_ops_ctc_loss");
    let mut cases = Vec::new();
    for case in list(&file("ctc_torch_f64")["cases"]) {
        let mut golden = read(case);
        let name = text(&case["name"]);
        let on_same = |file: &Value| {
            list(&file["cases"])
                .iter()
                .find(|c| c["name"] == case["name"])
                .cloned()
        };
        if let Some(answer) = on_same(&tensorflow) {
            golden
                .expectations
                .extend(tensorflow::of_case(name, &answer, &golden));
        }
        if let Some(answer) = on_same(&keras) {
            golden
                .expectations
                .push(tensorflow::of_keras(name, &answer, &golden));
        }
        // Small cases run again: in the other layout, and with the two reductions of PyTorch.
        if let Grad::Full(_) = golden.expectations[0].grad {
            cases.push(transposed(&golden));
            cases.push(reduced(case, &golden, Reduction::MeanLabel, "mean"));
            cases.push(reduced(case, &golden, Reduction::Sum, "sum"));
        }
        if golden.options.input == Input::LogProbs {
            cases.push(exact(&golden));
        }
        cases.push(golden);
    }
    cases
}

/// A loss of at least this is infinite here, because a probability of e^(−2^30) or less counts as
/// 0.
const MAX_NATS: f64 = 1_073_741_824.0;

/// Returns our loss for one computed by the definition: infinite from [`MAX_NATS`] on.
pub(super) fn finite(loss: f64) -> f64 {
    if loss >= MAX_NATS {
        f64::INFINITY
    } else {
        loss
    }
}

fn read(case: &Value) -> Golden {
    let [frames, items, classes] = ["T", "N", "C"].map(|axis| natural(&case[axis]));
    let input_lengths = integers(&case["input_lengths"]);
    let rows = integer_lists(&case["labels"]);
    let lengths = integers(&case["target_lengths"]);
    let labels: Vec<Vec<i32>> = rows
        .iter()
        .zip(&lengths)
        .map(|(row, length)| row[..*length as usize].to_vec())
        .collect();
    let values = values(case, [frames, items, classes]);
    let mut batch = OwnedBatch::new([items, frames, classes], values, &rows)
        .time_major()
        .logit_lengths(&input_lengths);
    batch.labels = match (case.get("labels_layout"), padded(&rows)) {
        (Some(_), _) => concatenated(&labels),
        // The rows may be longer than their labels, which must not change the result.
        (None, super::super::batch::OwnedLabels::Padded { values, .. }) => {
            super::super::batch::OwnedLabels::Padded { values, lengths }
        }
        (None, other) => other,
    };
    if let Some(weights) = case.get("grad_of") {
        let weights: Vec<f32> = numbers(weights).iter().map(|w| *w as f32).collect();
        batch = batch.weights(&weights);
    }
    let zero = case.get("zero_infinity").is_some();
    let options = Options::default()
        .blank(Blank::Index(natural(&case["blank"]) as u32))
        .input(if case["wrt"] == "log_probs" {
            Input::LogProbs
        } else {
            Input::Logits
        })
        .impossible(if zero {
            Impossible::Zero
        } else {
            Impossible::Infinity
        });
    let loss = numbers(&case["loss"]);
    let status = |n: usize| {
        let short = frames_needed(&labels[n]) > input_lengths[n] as usize;
        let impossible = loss[n] >= MAX_NATS || zero && short;
        if impossible {
            Status::Impossible
        } else {
            Status::Ok
        }
    };
    let source = format!("ctc_torch_f64:{}", text(&case["name"]));
    Golden {
        name: source.clone(),
        status: (0..items).map(status).collect(),
        // PyTorch's gradient of an item without an alignment is NaN; ours is 0 (see `packed`). Its
        // gradient at −inf is NaN as well; the file has the limit instead, computed by the
        // generator.
        expectations: vec![Expectation {
            source,
            loss: loss.iter().map(|l| Some(finite(*l))).collect(),
            grad: if loss.iter().all(|l| *l >= MAX_NATS) {
                Grad::Full(vec![Some(0.0); frames * items * classes])
            } else {
                packed(&case["grad"])
            },
            reduced: None,
            accuracy: PRINTED,
        }],
        batch,
        options,
    }
}

/// Generates the input by the rules of the file's `doc`.
fn values(case: &Value, [frames, items, classes]: [usize; 3]) -> Vec<f32> {
    let rules = &case["logits"];
    let mut values = generate(&rules["gen"], frames * items * classes);
    match rules.get("rule").map(text) {
        None => {}
        Some(rule) if rule.starts_with("generated numbers handed over") => {}
        Some(rule) if rule.starts_with("add 1e4 to every logit of frame t odd") => {
            for frame in values.chunks_mut(items * classes).skip(1).step_by(2) {
                frame.iter_mut().for_each(|x| *x += 1e4);
            }
        }
        Some(rule) if rule.starts_with("log_softmax") => {
            let wide: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
            values = log_softmax(&wide, classes)
                .iter()
                .map(|x| *x as f32)
                .collect();
        }
        Some(rule) if rule.starts_with("log_probs: 0 at the listed") => {
            values.fill(f32::NEG_INFINITY)
        }
        Some(rule) => panic!("{}: unknown rule {rule}", case["name"]),
    }
    for set in rules.get("set").map(list).unwrap_or_default() {
        let [t, n, c] = [0, 1, 2].map(|i| natural(&set[i]));
        values[(t * items + n) * classes + c] = number(&set[3]) as f32;
    }
    values
}

/// Returns the case in batch-major layout.
fn transposed(golden: &Golden) -> Golden {
    let expectation = &golden.expectations[0];
    let Grad::Full(grad) = &expectation.grad else {
        panic!("{}: only a part of the gradient is known", golden.name)
    };
    let grad = Grad::Full(golden.batch.transpose(grad));
    Golden {
        name: format!("{} batch-major", golden.name),
        batch: golden.batch.transposed(),
        expectations: vec![Expectation {
            grad,
            ..expectation.clone()
        }],
        ..golden.clone()
    }
}

/// Returns the case with one of PyTorch's reductions, which have no weights.
fn reduced(case: &Value, golden: &Golden, reduction: Reduction, field: &str) -> Golden {
    let theirs = number(&case["torch_f64"][field]);
    Golden {
        name: format!("{} {field}", golden.name),
        batch: OwnedBatch {
            weights: None,
            ..golden.batch.clone()
        },
        options: golden.options.reduction(reduction),
        expectations: vec![Expectation {
            grad: Grad::NotGiven,
            reduced: Some(finite(theirs)),
            ..golden.expectations[0].clone()
        }],
        ..golden.clone()
    }
}

/// Returns the case with the true derivative, which is PyTorch's gradient minus
/// exp(log-probability).
fn exact(golden: &Golden) -> Golden {
    let expectation = &golden.expectations[0];
    let Grad::Full(grad) = &expectation.grad else {
        panic!("{}: only a part of the gradient is known", golden.name)
    };
    let batch = &golden.batch;
    let less = |(at, g): (usize, &Option<f64>)| {
        let [item, frame, _] = batch.position(at);
        let valid = frame < batch.valid_frames(item);
        g.map(|g| {
            if valid {
                g - f64::from(batch.values[at]).exp()
            } else {
                0.0
            }
        })
    };
    let grad = Grad::Full(grad.iter().enumerate().map(less).collect());
    Golden {
        name: format!("{} true derivative", golden.name),
        options: golden.options.input(Input::LogProbsExact),
        expectations: vec![Expectation {
            grad,
            ..expectation.clone()
        }],
        ..golden.clone()
    }
}
