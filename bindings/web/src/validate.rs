//! Runs the library's conformance suite on a GPU, with its driver and the browser's shader
//! compiler.

use ctc_wgpu::Ctc;
use ctc_wgpu_conformance::case::Case;
use ctc_wgpu_conformance::check::Tolerance;
use ctc_wgpu_conformance::families::SuiteSize;
use ctc_wgpu_conformance::suite::{AS_PLANNED, CaseOutput, EVERY_FAMILY, HostPath, Suite, Tally};
use js_sys::{Array, Function};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::js::object;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** The cases of one family, run with one variant of the kernels. */
export interface ValidationRow {
    variant: string;
    family: string;
    cases: number;
    /** The largest error of a loss, compared with the float64 reference and relative to
     * max(1, loss). */
    worstLoss: number;
    /** The largest error of a gradient element. */
    worstGrad: number;
    /** One message per failure; empty if every case passes. A variant without a case fails. */
    failures: string[];
}

/** The result of `validate`. */
export interface ValidationReport {
    version: string;
    passed: boolean;
    tolerance: { loss: number; grad: number };
    rows: ValidationRow[];
}
"#;

/// Runs the cases on the GPU with each variant of the kernels that it supports.
///
/// Calls `progress` after each row, with the row, the number of finished rows and their total.
///
/// # Errors
/// If no GPU is available. A case that fails is not an error; it is in the report.
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
    let planned = suite.families().iter().map(|family| (None, Some(family)));
    let forced = suite.forced(&limits).into_iter();
    let forced = forced.map(|(variant, family)| (Some(variant), family));
    let groups: Vec<_> = planned.chain(forced).collect();
    let total = u32::try_from(groups.len())?;
    let (rows, mut done, mut passed) = (Array::new(), 0_u32, true);
    for (variant, family) in groups {
        let tally = match family {
            Some(family) => host.family_with(family, variant, loss_and_grad).await,
            None => Tally::without_a_case(),
        };
        passed &= tally.passed();
        let failures: Array = tally.failures.into_iter().map(JsValue::from).collect();
        let worst = tally.worst.unwrap_or_default();
        let row = object([
            ("variant", variant.map_or(AS_PLANNED, |v| v.name).into()),
            ("family", family.map_or(EVERY_FAMILY, |f| f.name).into()),
            ("cases", u32::try_from(tally.cases)?.into()),
            ("worstLoss", worst.loss.into()),
            ("worstGrad", worst.grad.into()),
            ("failures", failures.into()),
        ]);
        done += 1;
        let called = progress.call3(&JsValue::NULL, &row, &done.into(), &total.into());
        called.map_err(|_| JsError::new("the progress callback threw"))?;
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

async fn loss_and_grad(ctc: &Ctc, case: &Case) -> CaseOutput {
    let batch = case.batch();
    Ok(ctc
        .loss_and_grad_async(&batch.batch(), case.options())
        .await)
}
