//! `ctcLossAndGrad`: the loss for everybody's JavaScript.

use ctc_wgpu::{
    Batch, Blank, BlankInLabels, Impossible, Input, LossAndGradOutput, Options, Reduction, Status,
};
use js_sys::{Array, Float32Array, Int32Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::js::{Given, object, wrong};
use crate::session::{self, Wanted};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** All are optional. */
export interface CtcOptions {
    /** The blank's class; -1 for the last. Default 0. */
    blank?: number;
    /** How many frames of each item count, [N]. Default: all. */
    logitLengths?: Int32Array;
    /** An incoming gradient, [N]. Default 1. */
    weights?: Float32Array;
    /** What `logits` holds. Default "logits". "probs" adds Keras's 1e-7 to each probability. */
    input?: "logits" | "logProbs" | "logProbsExact" | "probs";
    /** The order of the axes in `logits` and `shape`. Default "NTC". */
    layout?: "NTC" | "TNC";
    /** "padded" is [N, Lmax], "concatenated" one item's labels after the other's. Default "padded". */
    labelLayout?: "padded" | "concatenated";
    /** Default "none". */
    reduction?: "none" | "sum" | "meanBatch" | "meanLabel" | "meanVolume" | "meanWeighted";
    /** What an item without an alignment gets: loss infinity or 0, or the call is an error. Default "infinity". */
    impossible?: "infinity" | "zero" | "error";
    /** Whether the blank may stand among the labels. Default "reject". */
    blankInLabels?: "reject" | "allow";
    /** Where to compute. "auto", the default, is the GPU, or the CPU where there is no WebGPU. */
    backend?: "auto" | "gpu" | "cpu";
}

export interface CtcResult {
    /** In nats, [N]. */
    loss: Float32Array;
    /** The derivative of the summed (or reduced) loss, shaped as the logits. */
    grad: Float32Array;
    /** How each item went, [N]. */
    status: ("ok" | "impossible" | "notFinite")[];
    /** The one number that a reduction makes. */
    reduced?: number;
    /** Where it was computed. */
    backend: "gpu" | "cpu";
}
"#;

/// Loss and gradient of a batch.
///
/// `logits` holds the numbers of `shape`, which is `[N, T, C]`; `labels` is `[N, Lmax]`, whatever stands past an item's
/// length; `lengths` is how many labels each item has.
///
/// # Errors
/// A JavaScript `Error` that names item, value and rule, or says what became of the GPU.
#[wasm_bindgen(js_name = ctcLossAndGrad, unchecked_return_type = "CtcResult")]
pub async fn ctc_loss_and_grad(
    logits: Vec<f32>,
    #[wasm_bindgen(unchecked_param_type = "[number, number, number]")] shape: Vec<u32>,
    labels: Vec<i32>,
    lengths: Vec<i32>,
    #[wasm_bindgen(unchecked_optional_param_type = "CtcOptions")] options: JsValue,
) -> Result<JsValue, JsError> {
    let axes: [u32; 3] = shape
        .try_into()
        .map_err(|_| JsError::new("shape: must be three numbers, N, T and C"))?;
    let axes = axes.map(|axis| axis as usize);
    let mut given = Given::new(options)?;
    let chosen = choices(&mut given)?;
    let wanted = [
        ("auto", Wanted::Auto),
        ("gpu", Wanted::Gpu),
        ("cpu", Wanted::Cpu),
    ];
    let wanted = given.choice("backend", &wanted)?.unwrap_or(Wanted::Auto);
    let time_major = given.choice("layout", &[("NTC", false), ("TNC", true)])?;
    let layouts = [("padded", false), ("concatenated", true)];
    let concatenated = given.choice("labelLayout", &layouts)?;
    let frames: Option<Int32Array> = given.array("logitLengths", "must be an Int32Array")?;
    let frames = frames.map(|frames| frames.to_vec());
    let weights: Option<Float32Array> = given.array("weights", "must be a Float32Array")?;
    let weights = weights.map(|weights| weights.to_vec());
    given.finish()?;

    let batch = match time_major {
        Some(true) => Batch::time_major(axes, &logits),
        _ => Batch::new(axes, &logits),
    };
    let mut batch = match concatenated {
        Some(true) => batch.labels_concatenated(&labels, &lengths),
        _ => batch.labels(&labels, &lengths),
    };
    if let Some(frames) = &frames {
        batch = batch.logit_lengths(frames);
    }
    if let Some(weights) = &weights {
        batch = batch.weights(weights);
    }
    let ctc = session::open(wanted).await?;
    let output = ctc.loss_and_grad_async(&batch, &chosen).await;
    Ok(answer(&output.map_err(session::heed)?, session::name(&ctc)))
}

fn choices(given: &mut Given) -> Result<Options, JsError> {
    let default = Options::default();
    let inputs = [
        ("logits", Input::Logits),
        ("logProbs", Input::LogProbs),
        ("logProbsExact", Input::LogProbsExact),
        ("probs", Input::Probs { epsilon: 1e-7 }),
    ];
    let reductions = [
        ("none", Reduction::None),
        ("sum", Reduction::Sum),
        ("meanBatch", Reduction::MeanBatch),
        ("meanLabel", Reduction::MeanLabel),
        ("meanVolume", Reduction::MeanVolume),
        ("meanWeighted", Reduction::MeanWeighted),
    ];
    let policies = [
        ("infinity", Impossible::Infinity),
        ("zero", Impossible::Zero),
        ("error", Impossible::Error),
    ];
    let rules = [
        ("reject", BlankInLabels::Reject),
        ("allow", BlankInLabels::Allow),
    ];
    let blank = match given.number("blank")? {
        None => default.blank,
        Some(-1.0) => Blank::Last,
        Some(class) => Blank::Index(index(class).ok_or_else(|| {
            wrong(
                "blank",
                "must be a class, 0 or above, or -1 for the last one",
            )
        })?),
    };
    Ok(default
        .blank(blank)
        .input(given.choice("input", &inputs)?.unwrap_or(default.input))
        .reduction(
            given
                .choice("reduction", &reductions)?
                .unwrap_or(default.reduction),
        )
        .impossible(
            given
                .choice("impossible", &policies)?
                .unwrap_or(default.impossible),
        )
        .blank_in_labels(
            given
                .choice("blankInLabels", &rules)?
                .unwrap_or(default.blank_in_labels),
        ))
}

/// A number that is an index.
fn index(number: f64) -> Option<u32> {
    let whole = (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within u32, as just seen"
    )]
    whole.then_some(number as u32)
}

fn answer(output: &LossAndGradOutput, backend: &str) -> JsValue {
    let status: Array = output
        .status
        .iter()
        .map(|status| JsValue::from(status_name(*status)))
        .collect();
    object([
        ("loss", Float32Array::from(&output.loss[..]).into()),
        ("grad", Float32Array::from(&output.grad[..]).into()),
        ("status", status.into()),
        (
            "reduced",
            output.reduced.map_or(JsValue::UNDEFINED, JsValue::from),
        ),
        ("backend", backend.into()),
    ])
}

pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Impossible => "impossible",
        Status::NotFinite => "notFinite",
        // Calls with arrays on the host refuse these two before anything runs.
        Status::BadLabel => "badLabel",
        Status::BadLength => "badLength",
        _ => "unknown",
    }
}
