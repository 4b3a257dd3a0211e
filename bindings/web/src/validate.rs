//! Holds a GPU, its driver and the browser's shader compiler against the library's conformance suite.

use ctc_wgpu::Ctc;
use ctc_wgpu::conformance::case::Case;
use ctc_wgpu::conformance::check::Tolerance;
use ctc_wgpu::conformance::families::SuiteSize;
use ctc_wgpu::conformance::suite::{AS_PLANNED, Answered, HostPath, Suite};
use ctc_wgpu::conformance::variants::VARIANTS;
use js_sys::{Array, Function};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::js::object;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Cases of one kind through one variant of the kernels. */
export interface ValidationRow {
    variant: string;
    family: string;
    cases: number;
    /** The largest deviation of a loss from the float64 reference, relative to max(1, loss). */
    worstLoss: number;
    /** The largest deviation in a gradient. */
    worstGrad: number;
    /** What is wrong; nothing if all is well. */
    failures: string[];
}

export interface ValidationReport {
    version: string;
    passed: boolean;
    tolerance: { loss: number; grad: number };
    rows: ValidationRow[];
}
"#;

/// Runs the cases on the GPU through each variant of the kernels that it supports.
///
/// `progress` is called with each row when it is done, how many are, and how many there will be.
///
/// # Errors
/// If there is no GPU. What goes wrong in a case is a failure in the report.
#[wasm_bindgen(unchecked_return_type = "ValidationReport")]
pub async fn validate(
    quick: bool,
    #[wasm_bindgen(
        unchecked_param_type = "(row: ValidationRow, done: number, total: number) => void"
    )]
    progress: Function,
) -> Result<JsValue, JsError> {
    let ctc = Ctc::gpu_async().await?;
    let limits = ctc.limits().copied().unwrap_or_default();
    let suite = Suite::new(if quick {
        SuiteSize::Quick
    } else {
        SuiteSize::Usual
    });
    let host = HostPath::new(&ctc);
    let forced = VARIANTS.iter().filter(|variant| variant.is_there(&limits));
    let mut trials = Vec::new();
    for variant in std::iter::once(None).chain(forced.map(Some)) {
        let families = suite.families().iter();
        let meant = families.filter(|family| variant.is_none() || family.every_variant);
        trials.extend(meant.map(|family| (variant, family)));
    }
    let total = u32::try_from(trials.len())?;
    let (rows, mut done, mut passed) = (Array::new(), 0_u32, true);
    for (variant, family) in trials {
        let tally = host.family_with(family, variant, answer).await;
        passed &= tally.failures.is_empty();
        let failures: Array = tally.failures.into_iter().map(JsValue::from).collect();
        let worst = tally.worst.unwrap_or_default();
        let row = object([
            ("variant", variant.map_or(AS_PLANNED, |v| v.name).into()),
            ("family", family.name.into()),
            ("cases", u32::try_from(tally.cases)?.into()),
            ("worstLoss", worst.loss.into()),
            ("worstGrad", worst.grad.into()),
            ("failures", failures.into()),
        ]);
        done += 1;
        let told = progress.call3(&JsValue::NULL, &row, &done.into(), &total.into());
        told.map_err(|_| JsError::new("the progress callback threw"))?;
        rows.push(&row);
    }
    let Tolerance { loss, grad } = Tolerance::F32;
    let tolerance = object([("loss", loss.into()), ("grad", grad.into())]);
    Ok(object([
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("passed", passed.into()),
        ("tolerance", tolerance),
        ("rows", rows.into()),
    ]))
}

async fn answer(ctc: &Ctc, case: &Case) -> Answered {
    let batch = case.batch();
    Ok(ctc
        .loss_and_grad_async(&batch.batch(), case.options())
        .await)
}
