//! `keras_ctc_batch_cost.json`: Keras's loss of probabilities, and its gradient with respect to
//! them.

use ctc_wgpu::{Options, Status, reference};
use serde_json::Value;

use super::{
    Accuracy, Expectation, Golden, Grad, file, generate, integer_lists, integers, list,
    log_softmax, natural, number, numbers, packed, rounded, status_of, text,
};
use crate::batch::OwnedBatch;

/// Keras's ε, as in the file.
pub const EPSILON: f64 = 1e-7;

/// TensorFlow adds float32 logarithms even if its input is float64: errors of 3e-8 per operation,
/// which 1/(p + ε) enlarges.
pub const TENSORFLOW: Accuracy = Accuracy {
    loss: 1e-6,
    grad: 2e-6,
};

/// A case with the float64 input that Keras had.
#[derive(Debug, Clone)]
pub struct Case {
    /// The name of the case.
    pub name: String,
    /// N, T, C.
    pub dims: [usize; 3],
    /// The probabilities, `[N, T, C]`.
    pub probs: Vec<f64>,
    /// One list per item.
    pub labels: Vec<Vec<i32>>,
    /// The number of valid frames of each item.
    pub frames: Vec<i32>,
    /// The losses, `[N]`.
    pub loss: Vec<f64>,
    /// The gradient with respect to the probabilities.
    pub grad: Grad,
    /// The gradient with respect to the logits, if the probabilities are a softmax.
    pub grad_of_logits: Option<Grad>,
}

/// Returns all ten cases in float64.
pub fn in_f64() -> Vec<Case> {
    list(&file("keras_ctc_batch_cost")["cases"])
        .iter()
        .map(read)
        .collect()
}

fn read(case: &Value) -> Case {
    let dims = ["N", "T", "C"].map(|axis| natural(&case[axis]));
    let classes = dims[2];
    assert_eq!(
        natural(&case["blank"]),
        classes - 1,
        "{}: the blank is the last class",
        case["name"]
    );
    let units = generate(&case["gen"], dims.iter().product());
    let generated: Vec<f64> = units.into_iter().map(f64::from).collect();
    let probs = match text(&case["y_pred"]).split_once(':') {
        None if case["y_pred"] == "softmax" => log_softmax(&generated, classes)
            .iter()
            .map(|x| x.exp())
            .collect(),
        None if case["y_pred"] == "abs" => generated.iter().map(|x| x.abs()).collect(),
        Some(("onehot", path)) => path
            .split(',')
            .map(|class| class.parse::<usize>().unwrap())
            .flat_map(|class| (0..classes).map(move |c| f64::from(u8::from(c == class))))
            .collect(),
        _ => panic!("{}: unknown rule {}", case["name"], case["y_pred"]),
    };
    let lengths = integers(&case["target_lengths"]);
    let rows = integer_lists(&case["labels"]);
    let labels = rows
        .iter()
        .zip(lengths)
        .map(|(row, length)| row[..length as usize].to_vec());
    Case {
        name: text(&case["name"]).to_owned(),
        dims,
        probs,
        labels: labels.collect(),
        frames: integers(&case["input_lengths"]),
        loss: numbers(&case["loss_f64"]),
        grad: packed(&case["grad_wrt_y_pred"]),
        grad_of_logits: case.get("grad_wrt_logits").map(packed),
    }
}

/// Returns the cases, with probabilities rounded to f32.
pub fn cases() -> Vec<Golden> {
    let mut cases: Vec<Golden> = in_f64().into_iter().map(golden).collect();
    cases.extend(
        list(&file("keras_ctc_batch_cost")["edge_behaviour"])
            .iter()
            .map(edge),
    );
    cases
}

fn golden(case: Case) -> Golden {
    let single: Vec<f32> = case.probs.iter().map(|p| *p as f32).collect();
    let batch = OwnedBatch::new(case.dims, single, &case.labels).logit_lengths(&case.frames);
    let options = Options::keras_batch_cost();
    let source = format!("keras_ctc_batch_cost:{}", case.name);
    // Rounding a probability to f32 moves its logarithm by 2^-24, and so does rounding ε.
    let accuracy = TENSORFLOW.of_rounded_input(2.0 * 6e-8, case.dims[1]);
    let theirs = Expectation {
        source: source.clone(),
        loss: case.loss.iter().copied().map(Some).collect(),
        grad: case.grad,
        reduced: None,
        accuracy,
    };
    Golden {
        name: source,
        status: vec![Status::Ok; case.dims[0]],
        // Keras's results are for float64 probabilities, the reference's for the rounded ones.
        expectations: vec![theirs, by_reference(&batch, &options)],
        batch,
        options,
    }
}

/// Computes the expected result of the f32 input with the reference.
fn by_reference(batch: &OwnedBatch, options: &Options) -> Expectation {
    let output = reference::loss_and_grad(&batch.batch(), options).unwrap();
    Expectation {
        source: "the reference, from the f32 input".to_owned(),
        loss: output.loss.into_iter().map(Some).collect(),
        grad: Grad::Full(output.grad.into_iter().map(Some).collect()),
        reduced: None,
        accuracy: Accuracy::both(0.0),
    }
}

/// Reads `edge_behaviour`: one item of one to five frames over four classes. Keras rejects three of
/// the five cases.
fn edge(case: &Value) -> Golden {
    let name = text(&case["name"]);
    // The number of frames is not in the file; it is from the generator's source.
    let frames = match name {
        "empty_label" => 5,
        "infeasible" | "infeasible_repeat" | "input_length_0" => 3,
        "T1" => 1,
        other => panic!("unknown edge case {other}"),
    };
    let rule = serde_json::json!({"seed": 99, "scale": 3});
    let logits: Vec<f64> = generate(&rule, frames * 4)
        .into_iter()
        .map(f64::from)
        .collect();
    let probs: Vec<f64> = log_softmax(&logits, 4).iter().map(|x| x.exp()).collect();
    let (single, _) = rounded(&probs);
    let length = integers(&case["label_length"])[0];
    let labels = integer_lists(&case["labels"])[0][..length as usize].to_vec();
    let batch = OwnedBatch::one([frames, 4], single, &labels)
        .logit_lengths(&integers(&case["input_length"]));
    let zero = Grad::Full(vec![Some(0.0); frames * 4]);
    let (loss, grad) = match name {
        // Keras: "Labels length is zero". The item is valid, with the loss of its blanks.
        "empty_label" => {
            let blank = |p: &[f64]| -((p[3] + EPSILON) / (1.0 + 4.0 * EPSILON)).ln();
            (probs.chunks(4).map(blank).sum(), Grad::NotGiven)
        }
        // Keras rejects the whole batch: "Not enough time for target transition". Here only this
        // item is impossible.
        "infeasible" | "input_length_0" => (f64::INFINITY, zero),
        // Keras has the same loss, but a gradient whose magnitudes sum to 12, as if γ were 0; ours
        // is 0.
        "infeasible_repeat" => (number(&case["loss"][0]), zero),
        _ => {
            let abs_sum = number(&case["grad_abs_sum"]);
            let grad = Grad::Sampled {
                sample: vec![],
                abs_sum,
                checksum: None,
            };
            (number(&case["loss"][0]), grad)
        }
    };
    let source = format!("keras_ctc_batch_cost:{name}");
    Golden {
        name: source.clone(),
        batch,
        options: Options::keras_batch_cost(),
        status: status_of(&[loss]),
        expectations: vec![Expectation {
            source,
            loss: vec![Some(loss)],
            grad,
            reduced: None,
            accuracy: TENSORFLOW.of_rounded_input(2.0 * 6e-8, frames),
        }],
    }
}
