//! `ctcLossAndGrad`: loss and gradient for JavaScript.

use ctc_wgpu::{
    Batch, Blank, BlankInLabels, Impossible, Input, LossAndGradOutput, Options, Reduction, Status,
};
use js_sys::{Array, Float32Array, Int32Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::js::{OptionsReader, invalid, object};
use crate::session::{self, BackendChoice};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** The options of `ctcLossAndGrad`. All are optional. */
export interface CtcOptions {
    /** The class of the blank; -1 selects the last class. Default: 0. */
    blank?: number;
    /** The number of valid frames of each item, [N]. Default: all frames. */
    logitLengths?: Int32Array;
    /** The weight of each item, or the incoming gradient of its loss, [N]. Default: 1. */
    weights?: Float32Array;
    /** The meaning of `logits`. "probs" adds 1e-7 to each probability, as Keras does. Default:
     * "logits". */
    input?: "logits" | "logProbs" | "logProbsExact" | "probs";
    /** The order of the axes of `logits` and `shape`. Default: "NTC". */
    layout?: "NTC" | "TNC";
    /** "padded": [N, Lmax]. "concatenated": the labels of all items, item after item. Default:
     * "padded". */
    labelLayout?: "padded" | "concatenated";
    /** How the losses are reduced to one number. Default: "none". */
    reduction?: "none" | "sum" | "meanBatch" | "meanLabel" | "meanVolume" | "meanWeighted";
    /** The result of an item without a valid alignment: a loss of infinity or 0, or an error of the
     * call. Default: "infinity". */
    impossible?: "infinity" | "zero" | "error";
    /** "reject": a blank among the labels is an error. "allow": it is a label like any other.
     * Default: "reject". */
    blankInLabels?: "reject" | "allow";
    /** The backend. "auto" is the GPU, or the CPU if WebGPU is not available. Default: "auto". */
    backend?: "auto" | "gpu" | "cpu";
}

/** The result of `ctcLossAndGrad`. */
export interface CtcResult {
    /** The losses in nats, [N]. */
    loss: Float32Array;
    /** The gradient of the weighted sum of the losses, or of the reduced loss, in the shape of the
     * logits. */
    grad: Float32Array;
    /** The status of each item, [N]. */
    status: ("ok" | "impossible" | "notFinite")[];
    /** The reduced loss, if `reduction` is not "none". */
    reduced?: number;
    /** The backend that computed the result. */
    backend: "gpu" | "cpu";
}
"#;

/// Computes the losses and the gradient of a batch.
///
/// - `logits` has the shape `shape`: `[N, T, C]`, or `[T, N, C]` with the layout `"TNC"`.
/// - `labels` is `[N, Lmax]`; entries beyond an item's label length are ignored. With the label
///   layout `"concatenated"` it is the labels of all items, item after item.
/// - `lengths` is the label length of each item, `[N]`.
///
/// # Errors
/// Rejects the promise with a JavaScript `Error`. Its message contains the item, the value and the
/// rule; or the name of an option and its rule; or the reason why the GPU failed.
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
    let mut reader = OptionsReader::new(options)?;
    let options = read_options(&mut reader)?;
    let backends = [
        ("auto", BackendChoice::Auto),
        ("gpu", BackendChoice::Gpu),
        ("cpu", BackendChoice::Cpu),
    ];
    let backend = reader.choice("backend", &backends)?;
    let backend = backend.unwrap_or(BackendChoice::Auto);
    let time_major = reader.choice("layout", &[("NTC", false), ("TNC", true)])?;
    let layouts = [("padded", false), ("concatenated", true)];
    let concatenated = reader.choice("labelLayout", &layouts)?;
    let logit_lengths: Option<Int32Array> =
        reader.array("logitLengths", "must be an Int32Array")?;
    let logit_lengths = logit_lengths.map(|lengths| lengths.to_vec());
    let weights: Option<Float32Array> = reader.array("weights", "must be a Float32Array")?;
    let weights = weights.map(|weights| weights.to_vec());
    reader.finish()?;

    let batch = match time_major {
        Some(true) => Batch::time_major(axes, &logits),
        _ => Batch::new(axes, &logits),
    };
    let mut batch = match concatenated {
        Some(true) => batch.labels_concatenated(&labels, &lengths),
        _ => batch.labels(&labels, &lengths),
    };
    if let Some(lengths) = &logit_lengths {
        batch = batch.logit_lengths(lengths);
    }
    if let Some(weights) = &weights {
        batch = batch.weights(weights);
    }
    let ctc = session::open(backend).await?;
    let output = ctc.loss_and_grad_async(&batch, &options).await;
    let output = output.map_err(session::release_if_lost)?;
    Ok(result_object(&output, session::backend_name(&ctc)))
}

fn read_options(reader: &mut OptionsReader) -> Result<Options, JsError> {
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
    let impossible = [
        ("infinity", Impossible::Infinity),
        ("zero", Impossible::Zero),
        ("error", Impossible::Error),
    ];
    let blank_in_labels = [
        ("reject", BlankInLabels::Reject),
        ("allow", BlankInLabels::Allow),
    ];
    let blank = match reader.number("blank")? {
        None => default.blank,
        Some(-1.0) => Blank::Last,
        Some(class) => Blank::Index(index(class).ok_or_else(|| {
            invalid(
                "blank",
                "must be a class, 0 or above, or -1 for the last one",
            )
        })?),
    };
    Ok(default
        .blank(blank)
        .input(reader.choice("input", &inputs)?.unwrap_or(default.input))
        .reduction(
            reader
                .choice("reduction", &reductions)?
                .unwrap_or(default.reduction),
        )
        .impossible(
            reader
                .choice("impossible", &impossible)?
                .unwrap_or(default.impossible),
        )
        .blank_in_labels(
            reader
                .choice("blankInLabels", &blank_in_labels)?
                .unwrap_or(default.blank_in_labels),
        ))
}

/// Converts a number to an index; `None` if it is negative, too large or not an integer.
fn index(number: f64) -> Option<u32> {
    let whole = (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be an integer within u32"
    )]
    whole.then_some(number as u32)
}

fn result_object(output: &LossAndGradOutput, backend: &str) -> JsValue {
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
        // Arrays on the host are checked before anything runs, so the next two do not occur.
        Status::BadLabel => "badLabel",
        Status::BadLength => "badLength",
        _ => "unknown",
    }
}
