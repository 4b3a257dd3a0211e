//! Holds a GPU, its driver and the browser's shader compiler against the float64 reference.

use ctc_wgpu::{Batch, Ctc, CtcOutput, Limits, Options, Status, reference};
use js_sys::{Array, Function};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::bench::seeded;
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

const LOSS: f64 = 1e-6;
const GRAD: f64 = 1e-5;

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
    let ctc = Ctc::gpu_async("").await?;
    let variants = variants(&ctc);
    let families = families(quick);
    let total = u32::try_from(variants.len() * families.len())?;
    let (rows, mut done, mut passed) = (Array::new(), 0_u32, true);
    for (variant, limits) in &variants {
        let ctc = ctc.within(limits);
        for (family, cases) in &families {
            let row = row(&ctc, cases).await;
            passed &= row.failures.is_empty();
            let failures: Array = row.failures.into_iter().map(JsValue::from).collect();
            let row = object([
                ("variant", (*variant).into()),
                ("family", (*family).into()),
                ("cases", u32::try_from(cases.len())?.into()),
                ("worstLoss", row.worst_loss.into()),
                ("worstGrad", row.worst_grad.into()),
                ("failures", failures.into()),
            ]);
            done += 1;
            let told = progress.call3(&JsValue::NULL, &row, &done.into(), &total.into());
            told.map_err(|_| JsError::new("the progress callback threw"))?;
            rows.push(&row);
        }
    }
    let tolerance = object([("loss", LOSS.into()), ("grad", GRAD.into())]);
    Ok(object([
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("passed", passed.into()),
        ("tolerance", tolerance),
        ("rows", rows.into()),
    ]))
}

fn variants(ctc: &Ctc) -> Vec<(&'static str, Limits)> {
    let limits = ctc.limits().copied().unwrap_or_default();
    let barriers = Limits {
        subgroup: 0,
        ..limits
    };
    let mut variants = vec![("barriers", barriers)];
    if limits.subgroup > 0 {
        variants.insert(0, ("subgroups", limits));
    }
    variants.push((
        "storage",
        Limits {
            resident_quads: 0,
            ..limits
        },
    ));
    variants.push((
        "cut",
        Limits {
            max_binding: 1 << 16,
            ..limits
        },
    ));
    variants
}

/// A batch, and what the reference must say of each of its items.
struct Case {
    name: String,
    axes: [usize; 3],
    logits: Vec<f32>,
    labels: Vec<i32>,
    label_lengths: Vec<i32>,
    logit_lengths: Vec<i32>,
    status: Vec<Status>,
}

impl Case {
    fn new([frames, items, classes, labels]: [usize; 4], scale: f32) -> Self {
        let (logits, label_values) = seeded::numbers([frames, items, classes, labels], scale);
        let as_length = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        Self {
            name: format!("T={frames} N={items} C={classes} L={labels} ×{scale}"),
            axes: [items, frames, classes],
            logits,
            labels: label_values,
            // Items end at different frames and labels.
            label_lengths: (0..items)
                .map(|n| as_length(labels - n % (labels / 4 + 1)))
                .collect(),
            logit_lengths: (0..items)
                .map(|n| as_length(frames - n % (frames / 8 + 1)))
                .collect(),
            status: vec![Status::Ok; items],
        }
    }

    fn batch(&self) -> Batch<'_> {
        Batch::new(self.axes, &self.logits)
            .labels(&self.labels, &self.label_lengths)
            .logit_lengths(&self.logit_lengths)
    }

    /// The first logits of an item.
    fn first(&mut self, item: usize) -> &mut [f32] {
        let [_, frames, classes] = self.axes;
        &mut self.logits[item * frames * classes..][..classes]
    }
}

fn families(quick: bool) -> Vec<(&'static str, Vec<Case>)> {
    let of = |shapes: &[[usize; 4]], scale| shapes.iter().map(|s| Case::new(*s, scale)).collect();
    let small = [
        [50, 8, 20, 6],
        [40, 3, 5, 12],
        [1, 2, 2, 1],
        [64, 5, 37, 20],
    ];
    let mut families: Vec<(_, Vec<Case>)> = vec![
        ("random", of(&small, 1.0)),
        ("sharp logits", of(&small, 20.0)),
        ("long labels", of(&[[300, 2, 30, 140]], 1.0)),
        ("many classes", of(&[[20, 2, 3000, 5]], 1.0)),
        ("odd items", vec![odd()]),
    ];
    if !quick {
        families.push(("long lines", of(&[[2000, 2, 32, 300]], 3.0)));
        families.push(("long labels, sharp", of(&[[1200, 1, 64, 550]], 10.0)));
        families.push(("large batch", of(&[[50, 300, 20, 6]], 1.0)));
    }
    families
}

/// A batch whose items disturb their neighbours if anything can.
fn odd() -> Case {
    let mut case = Case::new([20, 5, 6, 8], 1.0);
    case.name = "−∞, NaN, no alignment, no labels".into();
    case.first(0)[5] = f32::NEG_INFINITY;
    case.first(1)[2] = f32::NAN;
    case.status[1] = Status::NotFinite;
    case.logit_lengths[2] = 3;
    case.status[2] = Status::Impossible;
    case.label_lengths[3] = 0;
    case
}

#[derive(Default)]
struct Row {
    worst_loss: f64,
    worst_grad: f64,
    failures: Vec<String>,
}

async fn row(ctc: &Ctc, cases: &[Case]) -> Row {
    let mut row = Row::default();
    for case in cases {
        if let Err(reason) = row.add(ctc, case).await {
            row.failures.push(format!("{}: {reason}", case.name));
        }
    }
    row
}

impl Row {
    async fn add(&mut self, ctc: &Ctc, case: &Case) -> Result<(), String> {
        let (batch, options) = (case.batch(), Options::default());
        let expected = reference::loss_and_grad(&batch, &options).map_err(|e| e.to_string())?;
        let first = ctc.loss_and_grad_async(&batch, &options).await;
        let first = first.map_err(|e| e.to_string())?;
        let again = ctc.loss_and_grad_async(&batch, &options).await;
        let again = again.map_err(|e| e.to_string())?;
        if bits(&first) != bits(&again) {
            return Err("other bits on the second run".to_owned());
        }
        if first.status != case.status || expected.status != case.status {
            return Err(format!(
                "status {:?}, expected {:?}",
                first.status, case.status
            ));
        }
        let loss = deviation(&first.loss, &expected.loss)?;
        let grad = deviation(&first.grad, &expected.grad)?;
        self.worst_loss = self.worst_loss.max(loss);
        self.worst_grad = self.worst_grad.max(grad);
        match (loss <= LOSS, grad <= GRAD) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("a loss is off by {loss:.1e}")),
            _ => Err(format!("a gradient is off by {grad:.1e}")),
        }
    }
}

fn bits(output: &CtcOutput) -> Vec<u32> {
    let numbers = output.loss.iter().chain(&output.grad);
    numbers.map(|x| x.to_bits()).collect()
}

/// The largest difference relative to max(1, |expected|), where NaN stands for NaN and ∞ for ∞.
fn deviation(got: &[f32], expected: &[f64]) -> Result<f64, String> {
    if got.len() != expected.len() {
        return Err(format!(
            "{} numbers, expected {}",
            got.len(),
            expected.len()
        ));
    }
    let mut worst = 0.0_f64;
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let got = f64::from(*got);
        if got.is_finite() && expected.is_finite() {
            worst = worst.max((got - expected).abs() / expected.abs().max(1.0));
        } else if got.to_string() != expected.to_string() {
            return Err(format!("number {index} is {got}, expected {expected}"));
        }
    }
    Ok(worst)
}
