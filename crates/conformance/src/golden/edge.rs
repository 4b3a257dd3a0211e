//! `conformance.json`, `edge_cases`: one batch per case, and the results of eight implementations.
//!
//! [`DIFFERENT_RESULTS`] lists the results that differ from ours, and why we do not follow them.
//! All other results must agree with ours.

use ctc_wgpu::{Blank, Impossible, Options, Status};
use serde_json::Value;

use super::{
    Accuracy, Expectation, Golden, Grad, file, integer_lists, integers, list, natural, number,
    numbers, rounded, text,
};
use crate::batch::{OwnedBatch, OwnedLabels};

/// The gradients in the file have six decimals, and all results are f32.
const OBSERVED: Accuracy = Accuracy {
    loss: 1e-6,
    grad: 2e-6,
};
/// Keras's ε of 1e-7 additionally changes every probability, small ones considerably.
const WITH_EPSILON: Accuracy = Accuracy {
    loss: 5e-6,
    grad: 1e-5,
};

const TORCH: &str = "torch2.15_cpu";
const TORCH_ZERO: &str = "torch2.15_cpu_zero_infinity";
const SPARSE: &str = "tf2.21_sparse_cpu";
const DENSE: &str = "tf2.21_dense";
const KERAS: &str = "keras_ctc_batch_cost(softmax(x))";
const OPTAX: &str = "optax0.2.8";
const SEQ2SEQ: &str = "tf-seq2seq-losses0.3";
const WARP: &str = "warp-ctc_cpu";

/// Cases that are errors here, each with its row in the table of semantics, which describes the
/// results of the other libraries.
pub const ERRORS: [(&str, &str); 5] = [
    ("negative target (1,-1)", "a label of -1 is rejected"),
    ("negative input_len", "a negative logit length is rejected"),
    (
        "label_len>width",
        "a label length above the width of the row is rejected",
    ),
    (
        "target>=C (1,4)",
        "a label that is not a valid class is rejected",
    ),
    ("negative label_len", "a negative label length is rejected"),
];

/// The statuses of the items of the other cases.
const STATUS: [(&str, &[Status]); 14] = {
    use Status::{Impossible as No, NotFinite as Nan, Ok};
    [
        ("normal_padded_T(il=5,3)", &[Ok, Ok]),
        ("repeat_infeasible(1,1,2;T=3)+ok", &[No, Ok]),
        ("all_empty_label_width1", &[Ok]),
        ("T=0,L=0 +ok", &[Ok, Ok]),
        ("-inf logit on target class, feasible", &[Ok]),
        ("all -inf frame", &[Nan]),
        ("NaN inside valid frame", &[Nan]),
        ("+inf in padded frame(il=3,T=4)", &[Ok]),
        ("-1 padding beyond label_len", &[Ok]),
        ("logits*1e4", &[Ok]),
        ("L>T(L=4,T=3)+ok", &[No, Ok]),
        ("T=0,L=1 +ok", &[No, Ok]),
        ("-inf logit on target class all frames (infeasible)", &[No]),
        ("NaN in padded frame(il=3,T=4)", &[Ok]),
    ]
};

const REFUSED: &str = "rejects the whole batch because of one valid item";
const SOFTMAX: &str = "the gradient of an impossible item is the softmax instead of 0";
const SENTINEL: &str =
    "a finite number replaces −inf and becomes the loss, with a meaningless gradient";
const SILENT: &str = "a loss of 0 hides the impossible item";
const NAN_GRADIENT: &str = "a NaN gradient makes the training step of the whole batch NaN";
const ZERO_TIMES: &str = "0 · −inf or 0 · NaN in an intermediate result";
const PADDING: &str = "the input past an item's length must not affect the result";
const UNDERFLOW: &str =
    "the softmax is computed before the logarithm, so small probabilities underflow to 0";
const EPSILON: &str = "a different loss: ε bounds every probability from below";
const HALF: &str =
    "NaN is in only some of the item's frames, depending on the order of the recursion";

/// For each case, the implementations with other results, and why we do not follow them. A test
/// checks that each of them does differ.
pub const DIFFERENT_RESULTS: [(&str, &[(&str, &str)]); 14] = [
    ("normal_padded_T(il=5,3)", &[]),
    (
        "repeat_infeasible(1,1,2;T=3)+ok",
        &[
            (TORCH, NAN_GRADIENT),
            (SPARSE, SOFTMAX),
            (DENSE, SENTINEL),
            (OPTAX, SENTINEL),
            (WARP, SILENT),
        ],
    ),
    (
        "all_empty_label_width1",
        &[(SPARSE, REFUSED), (KERAS, REFUSED)],
    ),
    (
        "T=0,L=0 +ok",
        &[
            (SPARSE, REFUSED),
            (KERAS, REFUSED),
            (WARP, "+inf, although the empty path gives the empty label"),
        ],
    ),
    (
        "-inf logit on target class, feasible",
        &[
            (TORCH, NAN_GRADIENT),
            (TORCH_ZERO, NAN_GRADIENT),
            (DENSE, ZERO_TIMES),
            (OPTAX, ZERO_TIMES),
        ],
    ),
    ("all -inf frame", &[(WARP, HALF)]),
    ("NaN inside valid frame", &[(WARP, HALF)]),
    (
        "+inf in padded frame(il=3,T=4)",
        &[
            (TORCH, PADDING),
            (TORCH_ZERO, PADDING),
            (DENSE, PADDING),
            (KERAS, PADDING),
            (OPTAX, PADDING),
            (SEQ2SEQ, PADDING),
        ],
    ),
    ("-1 padding beyond label_len", &[]),
    (
        "logits*1e4",
        &[
            (SPARSE, UNDERFLOW),
            (DENSE, SENTINEL),
            (KERAS, EPSILON),
            (WARP, UNDERFLOW),
        ],
    ),
    (
        "L>T(L=4,T=3)+ok",
        &[
            (TORCH, NAN_GRADIENT),
            (SPARSE, REFUSED),
            (DENSE, SENTINEL),
            (KERAS, REFUSED),
            (OPTAX, SENTINEL),
            (WARP, SILENT),
        ],
    ),
    (
        "T=0,L=1 +ok",
        &[
            (SPARSE, REFUSED),
            (DENSE, SENTINEL),
            (KERAS, REFUSED),
            (OPTAX, SENTINEL),
            (WARP, SILENT),
        ],
    ),
    (
        "-inf logit on target class all frames (infeasible)",
        &[
            (TORCH, NAN_GRADIENT),
            (SPARSE, SOFTMAX),
            (DENSE, ZERO_TIMES),
            (KERAS, EPSILON),
            (OPTAX, ZERO_TIMES),
            (WARP, UNDERFLOW),
        ],
    ),
    (
        "NaN in padded frame(il=3,T=4)",
        &[
            (TORCH, PADDING),
            (TORCH_ZERO, PADDING),
            (DENSE, PADDING),
            (KERAS, PADDING),
            (OPTAX, PADDING),
            (SEQ2SEQ, PADDING),
        ],
    ),
];

/// Returns the cases, with the sources that must agree with us.
pub fn cases() -> Vec<Golden> {
    all(|case, peer| !different_results(case).any(|(who, _)| *who == peer))
}

/// Returns the same cases with only the sources that [`DIFFERENT_RESULTS`] lists.
pub fn cases_with_different_results() -> Vec<Golden> {
    all(|case, peer| different_results(case).any(|(who, _)| *who == peer))
}

/// Returns pairs of a case and an implementation that rejects its batch with an error.
pub fn rejections() -> Vec<(String, String)> {
    let answered = |case: &Value| !ERRORS.iter().any(|(name, _)| *name == case["name"]);
    let file = file("conformance");
    let cases = list(&file["edge_cases"])
        .iter()
        .filter(|case| answered(case));
    let rejections = |case: &Value| -> Vec<(String, String)> {
        let observed = case["observed"].as_object().unwrap();
        let rejected = observed
            .iter()
            .filter(|(_, answer)| answer.get("error").is_some());
        rejected
            .map(|(peer, _)| (text(&case["name"]).to_owned(), peer.clone()))
            .collect()
    };
    cases.flat_map(rejections).collect()
}

/// Returns the implementations with other results for a case, and why we do not follow them.
pub fn different_results(
    case: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let entry = DIFFERENT_RESULTS.iter().find(|(name, _)| *name == case);
    entry
        .unwrap_or_else(|| panic!("{case}: not in DIFFERENT_RESULTS"))
        .1
        .iter()
}

/// Returns one golden case for the sources whose loss of an impossible item is +inf, and one for
/// PyTorch's `zero_infinity`.
fn all(wanted: impl Fn(&str, &str) -> bool) -> Vec<Golden> {
    let mut cases = Vec::new();
    for case in list(&file("conformance")["edge_cases"]) {
        let name = text(&case["name"]);
        if ERRORS.iter().any(|(error, _)| *error == name) {
            continue;
        }
        for impossible in [Impossible::Infinity, Impossible::Zero] {
            let zero = impossible == Impossible::Zero;
            let observed = case["observed"].as_object().unwrap().iter();
            let peers = observed.filter(|(peer, answer)| {
                (*peer == TORCH_ZERO) == zero && wanted(name, peer) && answer.get("loss").is_some()
            });
            let expectations: Vec<Expectation> = peers
                .map(|(peer, answer)| {
                    expectation(format!("conformance:{name} {peer}"), peer, answer)
                })
                .collect();
            if expectations.is_empty() {
                continue;
            }
            let status = STATUS.iter().find(|(known, _)| *known == name);
            cases.push(Golden {
                name: format!("conformance:{name}{}", if zero { " zeroed" } else { "" }),
                batch: batch(case),
                options: Options::default()
                    .blank(Blank::Index(natural(&case["blank"]) as u32))
                    .impossible(impossible),
                status: status
                    .unwrap_or_else(|| panic!("{name}: not in STATUS"))
                    .1
                    .to_vec(),
                expectations,
            });
        }
    }
    cases
}

fn batch(case: &Value) -> OwnedBatch {
    let [frames, items, classes] = [0, 1, 2].map(|axis| natural(&case["shape"][axis]));
    assert_eq!(
        (text(&case["layout"]), text(&case["input_domain"])),
        ("TNC", "logits")
    );
    let (values, rounding) = rounded(&numbers(&case["input"]));
    assert!(rounding < 1e-12, "{}: its logits are f32", case["name"]);
    let labels = OwnedLabels::Padded {
        values: integer_lists(&case["labels_padded"]).concat(),
        lengths: integers(&case["label_lengths"]),
    };
    OwnedBatch::new([items, frames, classes], values, &vec![vec![]; items])
        .labels(labels)
        .time_major()
        .logit_lengths(&integers(&case["input_lengths"]))
}

fn expectation(source: String, peer: &str, answer: &Value) -> Expectation {
    Expectation {
        source,
        // Some sources have −0.0 or −8e-8 for a loss of 0.
        loss: list(&answer["loss"])
            .iter()
            .map(|l| Some(number(l)).map(|l| if l < 0.0 { 0.0 } else { l }))
            .collect(),
        grad: Grad::Full(numbers(&answer["grad"]).into_iter().map(Some).collect()),
        reduced: None,
        accuracy: if peer == KERAS {
            WITH_EPSILON
        } else {
            OBSERVED
        },
    }
}
