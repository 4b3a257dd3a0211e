//! `conformance.json`, `edge_cases`: one batch each, and what eight implementations answered to it.
//!
//! [`WRONG`] says who is not followed and why; all others must agree with us.

use crate::{Blank, Impossible, Options, Status};
use serde_json::Value;

use super::{
    Accuracy, Expectation, Golden, Grad, file, integer_lists, integers, list, natural, number,
    numbers, rounded, text,
};
use crate::conformance::batch::{OwnedBatch, OwnedLabels};

/// The printed gradients have six decimals, and all but the reference are f32.
const OBSERVED: Accuracy = Accuracy {
    loss: 1e-6,
    grad: 2e-6,
};
/// Beside that, Keras's ε of 1e-7 moves every probability, the small ones by much.
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

/// Cases that are errors here: which row of the table of semantics they are. What the peers answer is told there.
pub const ERRORS: [(&str, &str); 5] = [
    ("negative target (1,-1)", "a label of -1 is refused"),
    ("negative input_len", "a negative logit length is refused"),
    ("label_len>width", "a label length above the row is refused"),
    ("target>=C (1,4)", "a label that is no class is refused"),
    ("negative label_len", "a negative label length is refused"),
];

/// How the items of each other case go.
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

const REFUSED: &str = "refuses the batch for one legal item";
const SOFTMAX: &str =
    "the gradient of an impossible item is the softmax, as if it were to be unlearnt";
const SENTINEL: &str =
    "a finite number stands for −inf, and comes out as the loss, with a gradient of nothing";
const SILENT: &str = "a loss of 0 for an impossible item hides it";
const NAN_GRADIENT: &str = "a NaN gradient spoils the step for all items";
const ZERO_TIMES: &str = "0 · −inf or 0 · NaN inside";
const PADDING: &str = "what lies in a frame that does not count must not come out";
const UNDERFLOW: &str = "softmax first, logarithm after: what underflows is lost";
const EPSILON: &str = "another loss: ε bounds every probability from below";
const HALF: &str =
    "NaN reaches only some of the item's frames: which, is an accident of the recursion";

/// Who answers otherwise, and why that is not followed. A test sees to it that each of them does.
pub const WRONG: [(&str, &[(&str, &str)]); 14] = [
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
            (WARP, "+inf, though the empty path reads as the empty label"),
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

/// The cases, with the sources that must agree with us.
pub fn cases() -> Vec<Golden> {
    all(|case, peer| !wrong(case).any(|(who, _)| *who == peer))
}

/// The same cases with the peers that [`WRONG`] lists, alone.
pub fn cases_of_the_wrong() -> Vec<Golden> {
    all(|case, peer| wrong(case).any(|(who, _)| *who == peer))
}

/// Who refuses the batch of a case with an error.
pub fn refusals() -> Vec<(String, String)> {
    let answered = |case: &Value| !ERRORS.iter().any(|(name, _)| *name == case["name"]);
    let file = file("conformance");
    let cases = list(&file["edge_cases"])
        .iter()
        .filter(|case| answered(case));
    let refusals = |case: &Value| -> Vec<(String, String)> {
        let observed = case["observed"].as_object().unwrap();
        let refused = observed
            .iter()
            .filter(|(_, answer)| answer.get("error").is_some());
        refused
            .map(|(peer, _)| (text(&case["name"]).to_owned(), peer.clone()))
            .collect()
    };
    cases.flat_map(refusals).collect()
}

/// Who answers otherwise to a case, and why that is not followed.
pub fn wrong(case: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let entry = WRONG.iter().find(|(name, _)| *name == case);
    entry
        .unwrap_or_else(|| panic!("{case}: not in WRONG"))
        .1
        .iter()
}

/// One golden case for the peers that answer +inf for an impossible item, and one for PyTorch's `zero_infinity`.
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
                options: Options {
                    blank: Blank::Index(natural(&case["blank"]) as u32),
                    impossible,
                    ..Options::default()
                },
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
        // −0.0 and −8e-8 stand there for a loss of 0.
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
