//! `conformance.json`, `cases`: the assertions of other projects' test suites, and results of an
//! enumeration of all paths.

use ctc_wgpu::{
    Blank, BlankInLabels, Impossible, Options, Reduction, RepeatedLabels, RepeatedOutputs, Status,
    reference,
};
use serde_json::Value;

use super::{
    Accuracy, Expectation, Golden, Grad, NOT_RUN, file, integer_lists, integers, list, natural,
    number, numbers, rounded, status_of, text,
};
use crate::batch::{OwnedBatch, OwnedLabels};
use crate::random::BatchSpec;

/// The errors that other test suites assert, each with the corresponding row of the table of
/// semantics, or the reason why there is none. A test checks that the list is complete and that the
/// rows exist.
pub const ERRORS: [(&str, &str, Result<&str, &str>); 18] = [
    (
        "tf/errors",
        "logits rank<3 -> error",
        Err("the type of the input fixes its rank"),
    ),
    (
        "tf/errors",
        "num_classes==0 -> error",
        Ok("a batch without classes is rejected"),
    ),
    (
        "tf/errors",
        "blank_index -4 with C=3 -> error (valid range [-3,3))",
        Err("the type has no negative index; the last class is Blank::Last"),
    ),
    (
        "tf/errors",
        "batch_size 0 -> InvalidArgument 'batch_size must not be 0'",
        Ok("an empty batch gives an empty result"),
    ),
    (
        "tf/errors",
        "second gradient of sparse op -> LookupError 'explicitly disabled'",
        Err("second derivatives are not implemented"),
    ),
    (
        "burn/errors",
        "blank>=C panics",
        Ok("a blank that is not a valid class is rejected"),
    ),
    (
        "burn/errors",
        "targets batch != N panics",
        Ok("labels for a different number of items are rejected"),
    ),
    (
        "burn/errors",
        "input_lengths len != N panics",
        Ok("too few logit lengths are rejected"),
    ),
    (
        "burn/errors",
        "target_lengths len != N panics",
        Ok("too few label lengths are rejected"),
    ),
    (
        "burn/errors",
        "debug builds: target_len<0, >width, input_len<target_len, input_len>T panic",
        Ok("a label length above the width of the row is rejected"),
    ),
    (
        "torch/errors",
        "input_len>T",
        Ok("a logit length above the number of frames is rejected"),
    ),
    (
        "torch/errors",
        "input_len<0",
        Ok("a negative logit length is rejected"),
    ),
    (
        "torch/errors",
        "target_len<0",
        Ok("a negative label length is rejected"),
    ),
    (
        "torch/errors",
        "target_len>targets.size(1)",
        Ok("a label length above the width of the row is rejected"),
    ),
    (
        "torch/errors",
        "1-D targets whose length != sum(target_lengths)",
        Ok("more concatenated labels than the lengths count are rejected"),
    ),
    (
        "torch/errors",
        "blank<0 or >=C",
        Ok("a blank that is not a valid class is rejected"),
    ),
    (
        "torch/errors",
        "empty log_probs (N==0 or T==0): 'log_probs tensor must not be empty'",
        Ok("a batch without frames has loss 0 for empty labels"),
    ),
    (
        "torch/errors",
        "f16/bf16 on CPU: NotImplementedError",
        Err("the type of the input is f32"),
    ),
];

/// Returns all cases.
pub fn cases() -> Vec<Golden> {
    let mut cases = Vec::new();
    for case in list(&file("conformance")["cases"]) {
        let source = format!("conformance:{}", text(&case["name"]));
        if NOT_RUN.iter().any(|(name, _)| *name == source) {
            continue;
        }
        match text(&case["kind"]) {
            "loss" | "loss+alignment" => cases.push(losses(case, source)),
            "loss_property" => cases.push(below_the_threshold(case, source)),
            "label_op" => cases.push(labels(case, source)),
            "error" => assert!(
                ERRORS.iter().any(|(list, ..)| *list == case["name"]),
                "{source}: not in ERRORS"
            ),
            kind => panic!("{source}: unknown kind {kind}"),
        }
    }
    cases
}

/// Returns the time-major batch of a case, and the largest rounding error of its input.
fn read(case: &Value) -> (OwnedBatch, f64) {
    let [frames, items, classes] = [0, 1, 2].map(|axis| natural(&case["shape"][axis]));
    assert_eq!(
        (text(&case["layout"]), text(&case["input_domain"])),
        ("TNC", "logits")
    );
    let (values, rounding) = rounded(&numbers(&case["input"]));
    let labels = integer_lists(&case["labels"]);
    let batch = OwnedBatch::new([items, frames, classes], values, &labels).time_major();
    (
        batch.logit_lengths(&integers(&case["input_lengths"])),
        rounding,
    )
}

fn losses(case: &Value, source: String) -> Golden {
    let (mut batch, rounding) = read(case);
    let mut options = Options::default().blank(Blank::Index(natural(&case["blank"]) as u32));
    for (flag, value) in case
        .get("options")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        match flag.as_str() {
            "preprocess_collapse_repeated" if value == true => {
                options.repeated_labels = RepeatedLabels::Collapse
            }
            "ctc_merge_repeated" if value == false => {
                options.repeated_outputs = RepeatedOutputs::Distinct
            }
            "preprocess_collapse_repeated" | "ctc_merge_repeated" => {}
            // If the flag is set, the case's `labels` are collapsed already. These are the labels
            // before that.
            "raw_labels" => {
                batch = OwnedBatch {
                    labels: crate::batch::padded(&[integers(value)]),
                    ..batch
                }
            }
            "reduction" if value == "sum_over_batch_size" => {
                options.reduction = Reduction::MeanBatch
            }
            other => panic!("{source}: unknown option {other}"),
        }
    }
    // keras.losses.CTC counts the labels other than 0 and uses that many from the left, so its own
    // test has the blank as a label, and asserts PyTorch's rule for it.
    if source.contains("losses.CTC") {
        options.blank_in_labels = BlankInLabels::Allow;
    }
    let items = batch.items();
    let expectation =
        |part: &str, loss: Option<&Value>, grad: Option<&Value>, accuracy: f64| Expectation {
            source: format!("{source}{part}"),
            loss: match non_null(loss) {
                // Adding 0.0 turns the −0.0 in the file into our +0.0.
                Some(loss) => numbers(loss).into_iter().map(|l| Some(l + 0.0)).collect(),
                None => vec![None; items],
            },
            grad: match non_null(grad) {
                Some(grad) => Grad::Full(numbers(grad).into_iter().map(Some).collect()),
                None => Grad::NotGiven,
            },
            reduced: None,
            accuracy: Accuracy::both(accuracy).of_rounded_input(rounding, batch.frames()),
        };
    // Published numbers have the digits that their suite prints. The numbers of the file's own
    // oracle and of its enumeration are float64.
    let published = if case["kind"] == "loss" {
        number(&case["atol"])
    } else {
        1e-12
    };
    let mut expectations = vec![
        Expectation {
            reduced: case.get("expected_reduced_loss").map(number),
            ..expectation(
                "",
                case.get("expected_loss"),
                case.get("expected_grad"),
                published,
            )
        },
        expectation(
            " oracle",
            case.get("oracle_f64_loss"),
            case.get("oracle_f64_grad"),
            1e-12,
        ),
    ];
    if let Some(loss) = case.get("tf221_loss") {
        expectations.push(expectation(" TensorFlow", Some(loss), None, 1e-6));
    }
    let known = expectations.iter().flat_map(|e| e.loss.iter().flatten());
    let impossible = known.clone().any(|l| *l == f64::INFINITY);
    assert!(
        !impossible || items == 1,
        "{source}: it is unclear which item is impossible"
    );
    let status = if impossible {
        Status::Impossible
    } else {
        Status::Ok
    };
    Golden {
        name: source,
        status: vec![status; items],
        batch,
        options,
        expectations,
    }
}

fn non_null(value: Option<&Value>) -> Option<&Value> {
    value.filter(|v| !v.is_null())
}

/// Reads warp-ctc's `inf_test`: the first label has a logit of −1e30 in every frame. The test
/// asserts +inf, but warp-ctc returns 182, because it bounds probabilities from below. Here a
/// probability of e^(−2^30) or less counts as 0, so there is no alignment.
fn below_the_threshold(case: &Value, source: String) -> Golden {
    let (batch, _) = read(case);
    let options = Options::default().blank(Blank::Index(natural(&case["blank"]) as u32));
    Golden {
        name: source.clone(),
        status: vec![Status::Impossible],
        expectations: vec![Expectation {
            source,
            loss: vec![Some(f64::INFINITY)],
            grad: Grad::Full(vec![Some(0.0); batch.values.len()]),
            reduced: None,
            accuracy: Accuracy::both(0.0),
        }],
        batch,
        options,
    }
}

/// Reads the cases of TensorFlow's functions on labels, which are options or label layouts here.
/// The loss must be that of the labels that the functions return, and label 0, which is not
/// padding, must be kept.
fn labels(case: &Value, source: String) -> Golden {
    let rows = integer_lists(&case["labels"]);
    let lengths = integers(&case["lengths"]);
    let truncated = |rows: &[Vec<i32>], lengths: &[i32]| -> Vec<Vec<i32>> {
        rows.iter()
            .zip(lengths)
            .map(|(row, length)| row[..*length as usize].to_vec())
            .collect()
    };
    let mut spec = BatchSpec::new([rows.len(), 12, 11], 0);
    spec.ragged = false;
    let mut batch = spec.batch(1);
    let mut options = Options::default()
        .blank(Blank::Last)
        .impossible(Impossible::Error);
    let labels_of_items = truncated(&rows, &lengths);
    let read = match text(&case["op"]) {
        "collapse_repeated" => {
            options.repeated_labels = RepeatedLabels::Collapse;
            // The unchanged rows, including the padding past their lengths.
            batch.labels = OwnedLabels::Padded {
                values: rows.concat(),
                lengths,
            };
            truncated(
                &integer_lists(&case["expected"]),
                &integers(&case["expected_lengths"]),
            )
        }
        "dense_to_sparse" => {
            batch.labels = sparse(&labels_of_items);
            labels_of_items
        }
        other => panic!("{source}: unknown operation {other}"),
    };
    let wide: Vec<f64> = batch.values.iter().map(|x| f64::from(*x)).collect();
    let log_probs = super::log_softmax(&wide, 11);
    let loss: Vec<f64> = read
        .iter()
        .zip(log_probs.chunks(12 * 11))
        .map(|(labels, frames)| {
            let labels: Vec<usize> = labels.iter().map(|l| *l as usize).collect();
            reference::item(frames, 11, &labels, 10, RepeatedOutputs::Merge).loss
        })
        .collect();
    Golden {
        name: source.clone(),
        status: status_of(&loss),
        expectations: vec![Expectation {
            source,
            loss: loss.into_iter().map(Some).collect(),
            grad: Grad::NotGiven,
            reduced: None,
            accuracy: Accuracy::both(1e-12),
        }],
        batch,
        options,
    }
}

/// Converts lists of labels to a sparse tensor.
pub fn sparse(labels: &[Vec<i32>]) -> OwnedLabels {
    let entries = || {
        labels
            .iter()
            .enumerate()
            .flat_map(|(n, row)| row.iter().enumerate().map(move |(i, l)| (n, i, *l)))
    };
    OwnedLabels::Sparse {
        indices: entries().map(|(n, i, _)| [n as i64, i as i64]).collect(),
        values: entries().map(|(.., label)| label).collect(),
        shape: [labels.len(), labels.iter().map(Vec::len).max().unwrap_or(0)],
    }
}
