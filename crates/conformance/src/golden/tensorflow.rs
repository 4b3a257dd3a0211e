//! `ctc_tensorflow.json` and `keras_ops_ctc_loss.json`: TensorFlow and Keras on the batches of
//! `ctc_torch_f64.json`.

use serde_json::Value;

use super::torch::finite;
use super::{Accuracy, Expectation, Golden, Grad, number, numbers};

/// TensorFlow computes in float32, and its float64 version uses float32 logarithms: errors of 3e-8
/// per operation.
const TENSORFLOW: Accuracy = Accuracy {
    loss: 1e-6,
    grad: 1e-6,
};

/// The error messages with which TensorFlow rejects batches, each with the reason why we accept
/// them.
pub const REFUSED: [(&str, &str); 2] = [
    (
        "Labels length is zero",
        "an item without labels is valid, with the loss of its blanks",
    ),
    (
        "Not enough time for target transition",
        "one impossible item must not make the whole batch an error",
    ),
];

/// A loss that differs from ours.
pub struct Differs {
    /// The case's name.
    pub case: &'static str,
    /// The implementation.
    pub part: &'static str,
    /// The item.
    pub item: usize,
    /// The reason for the difference.
    pub why: &'static str,
}

const fn differs(
    case: &'static str,
    part: &'static str,
    item: usize,
    why: &'static str,
) -> Differs {
    Differs {
        case,
        part,
        item,
        why,
    }
}

const NO_PATH: &str =
    "no alignment: +inf by the definition, but log(1e-307) ≈ −707 replaces −inf in it";
const UNDERFLOW: &str = "the softmax is computed before the logarithm: small probabilities underflow, and the loss is +inf";
const FLOOR: &str =
    "log(1e-307) ≈ −707 bounds each state from below, so large losses are too small";
const NAN: &str = "0 · −inf in its einsum: NaN from a class of probability 0";

/// The wrong losses of TensorFlow, with the reasons. A test checks that each of them does differ.
/// In addition, TensorFlow's gradient of an impossible item is always the softmax, as if γ were 0;
/// ours is 0.
pub const DIFFERS: [Differs; 17] = [
    differs("exactly_feasible_repeats", "dense_float32", 0, NO_PATH),
    differs("infeasible_long", "dense_float32", 0, NO_PATH),
    differs("infeasible_mixed", "dense_float32", 1, NO_PATH),
    differs("T1_L2_infeasible", "dense_float32", 0, NO_PATH),
    differs("input_len0", "dense_float32", 1, NO_PATH),
    differs("exactly_feasible_repeats", "keras.ops", 0, NO_PATH),
    differs("infeasible_long", "keras.ops", 0, NO_PATH),
    differs("infeasible_mixed", "keras.ops", 1, NO_PATH),
    differs("T1_L2_infeasible", "keras.ops", 0, NO_PATH),
    differs("input_len0", "keras.ops", 1, NO_PATH),
    differs("extreme_1e4", "sparse_float64", 0, UNDERFLOW),
    differs("extreme_1e4", "sparse_float64", 1, UNDERFLOW),
    differs("extreme_1e4_long", "sparse_float64", 0, UNDERFLOW),
    differs("extreme_1e4_long", "dense_float32", 0, FLOOR),
    differs("neginf_logit_unused", "dense_float32", 0, NAN),
    differs("neginf_logit_needed_partly", "dense_float32", 0, NAN),
    differs("neginf_logit_infeasible", "dense_float32", 0, NAN),
];

/// Returns the losses of an implementation, with `None` for those in [`DIFFERS`].
fn compared(case: &str, part: &str, loss: &[f64]) -> Vec<Option<f64>> {
    let differs = |item: usize| {
        DIFFERS
            .iter()
            .any(|d| (d.case, d.part, d.item) == (case, part, item))
    };
    // If p is 1, TensorFlow's loss is −8e-8 because of rounding.
    loss.iter()
        .enumerate()
        .map(|(item, l)| (!differs(item)).then_some(finite(l.max(0.0))))
        .collect()
}

/// Returns the results of TensorFlow's two implementations for a case of `golden`'s file.
pub fn of_case(name: &str, answer: &Value, golden: &Golden) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for part in ["sparse_float64", "dense_float32"] {
        let answer = &answer[part];
        let source = format!("ctc_tensorflow:{name} {part}");
        let items = golden.batch.items();
        if let Some(error) = answer.get("error") {
            let known = REFUSED
                .iter()
                .any(|(message, _)| error.as_str().unwrap().contains(message));
            assert!(known, "{source}: {error}");
            // TensorFlow rejects the batch; the expectation of PyTorch's file remains.
            expectations.push(Expectation {
                source: format!("{source} rejected"),
                loss: vec![None; items],
                grad: Grad::NotGiven,
                reduced: None,
                accuracy: TENSORFLOW,
            });
            continue;
        }
        let loss = compared(name, part, &numbers(&answer["loss"]));
        let grad = match answer.get("grad") {
            None => Grad::NotGiven,
            Some(grad) => Grad::Full(
                numbers(grad)
                    .into_iter()
                    .enumerate()
                    .map(|(at, g)| {
                        let item = golden.batch.position(at)[0];
                        // TensorFlow's gradient of an impossible item is the softmax; ours is 0.
                        (loss[item].is_some_and(f64::is_finite)).then_some(g)
                    })
                    .collect(),
            ),
        };
        expectations.push(Expectation {
            source,
            loss,
            grad,
            reduced: None,
            accuracy: TENSORFLOW,
        });
    }
    expectations
}

/// Returns the result of `keras.ops.ctc_loss`, which uses TensorFlow's dense implementation.
pub fn of_keras(name: &str, answer: &Value, golden: &Golden) -> Expectation {
    let theirs: Vec<f64> = super::list(&answer["loss_f32"])
        .iter()
        .map(number)
        .collect();
    assert_eq!(theirs.len(), golden.batch.items(), "{name}");
    Expectation {
        source: format!("keras_ops_ctc_loss:{name}"),
        loss: compared(name, "keras.ops", &theirs),
        grad: Grad::NotGiven,
        reduced: None,
        accuracy: TENSORFLOW,
    }
}
