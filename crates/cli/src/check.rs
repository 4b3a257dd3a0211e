//! `ctc-wgpu check`: compares every backend with the float64 reference on one batch.

use std::time::Duration;

use clap::Args;
use ctc_wgpu::{Ctc, Input};
use serde_json::{Value, json};

use crate::args::BatchArgs;
use crate::compare::{Deviation, largest, loss_deviation, position};
use crate::engine::{EngineOutput, LossEngine, TimedRuns};
use crate::error::CliError;
use crate::format::{self, Outcome};
use crate::loaded_batch::LoadedBatch;
use crate::progress;

/// The largest loss error that passes, relative to `max(1, |loss|)`.
const LOSS_TOLERANCE: f64 = 1e-6;

/// The largest gradient error that passes, relative to the scale that [`compare`] computes.
const GRAD_TOLERANCE: f64 = 1e-5;

/// The number of runs after the first, for the timing.
const MORE_RUNS: u32 = 3;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    batch: BatchArgs,

    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The result of one backend.
struct CheckRow {
    name: String,
    /// The comparison with the reference, or the reason why the backend failed.
    comparison: Result<Comparison, String>,
}

struct Comparison {
    loss: Deviation,
    grad: Deviation,
    /// The number of items whose status differs from the reference's.
    status_mismatches: usize,
    time: Duration,
}

impl Comparison {
    fn passes(&self) -> bool {
        self.loss.worst <= LOSS_TOLERANCE
            && self.grad.worst <= GRAD_TOLERANCE
            && self.status_mismatches == 0
    }
}

impl CheckRow {
    fn result_name(&self) -> &'static str {
        match &self.comparison {
            Ok(comparison) if comparison.passes() => "pass",
            _ => "FAIL",
        }
    }

    fn fails(&self) -> bool {
        self.result_name() == "FAIL"
    }
}

/// The backends to check.
struct Backends {
    /// Each adapter and the CPU backend, or the reason why no device could be created.
    engines: Vec<(String, Result<LossEngine, String>)>,
    adapters: usize,
}

impl Backends {
    fn find() -> Self {
        let mut engines: Vec<(String, Result<LossEngine, String>)> = Vec::new();
        let adapters = ctc_wgpu::adapters();
        for adapter in &adapters {
            let info = adapter.get_info();
            let name = format!("{} ({})", info.name, info.backend);
            let engine = Ctc::on_adapter(adapter)
                .map(|ctc| LossEngine::Ctc(Box::new(ctc)))
                .map_err(|e| e.to_string());
            engines.push((name, engine));
        }
        let cpu = LossEngine::Ctc(Box::new(Ctc::cpu()));
        engines.push((cpu.name(), Ok(cpu)));
        Self {
            engines,
            adapters: adapters.len(),
        }
    }
}

pub(crate) fn run(args: &CheckArgs) -> Result<Outcome, CliError> {
    let batch = LoadedBatch::read(&args.batch)?;
    let backends = Backends::find();
    let bar = progress::working(backends.engines.len() as u64 + 1);
    bar.set_message("float64 reference");
    let reference = LossEngine::Reference
        .run(&batch.file.batch(), &batch.options, true)
        .map_err(|e| CliError::from_library(&args.batch.input.file, e));
    bar.inc(1);
    let (reference, reference_time) = reference?;
    reference
        .check_sizes(&batch.shape)
        .map_err(|reason| CliError::Compute(format!("float64 reference: {reason}")))?;
    let rows: Vec<CheckRow> = backends
        .engines
        .into_iter()
        .map(|(name, engine)| {
            bar.set_message(name.clone());
            let comparison = engine.and_then(|engine| compare(&batch, &engine, &reference));
            bar.inc(1);
            CheckRow { name, comparison }
        })
        .collect();
    bar.finish_and_clear();
    let passed = !rows.iter().any(CheckRow::fails);
    if args.json {
        let value = json(&batch, &rows, backends.adapters, reference_time);
        return Ok(Outcome::json(&value, passed));
    }
    let text = text(&batch, &rows, backends.adapters, reference_time);
    Ok(Outcome { text, passed })
}

fn compare(
    batch: &LoadedBatch,
    engine: &LossEngine,
    reference: &EngineOutput,
) -> Result<Comparison, String> {
    let LoadedBatch {
        file,
        options,
        shape,
        ..
    } = batch;
    let timed = TimedRuns::run(engine, &file.batch(), options, true, MORE_RUNS, |_| ())
        .map_err(|e| e.to_string())?;
    let output = &timed.output;
    output.check_sizes(shape)?;
    let of_probs = matches!(options.input, Input::Probs { .. });
    let scale = |at: usize, reference: f64| {
        let [item, ..] = position(shape, at);
        let weight = file
            .weights
            .as_ref()
            .map_or(1.0, |w| f64::from(w[item]).abs());
        // The gradient with respect to a probability grows as 1/(p + ε).
        let size = if of_probs { reference.abs() } else { 1.0 };
        weight.max(size).max(1.0)
    };
    let (got, expected) = (output.grad.as_deref(), reference.grad.as_deref());
    let pairs = output.status.iter().zip(&reference.status);
    Ok(Comparison {
        loss: loss_deviation(&output.loss, &reference.loss),
        grad: largest(got.unwrap_or_default(), expected.unwrap_or_default(), scale),
        status_mismatches: pairs.filter(|(got, expected)| got != expected).count(),
        time: timed.median().unwrap_or(timed.first),
    })
}

const NO_ADAPTER: &str = "no GPU adapter was found: the CPU backend is checked alone";

fn text(batch: &LoadedBatch, rows: &[CheckRow], adapters: usize, reference: Duration) -> String {
    let LoadedBatch {
        file, shape, blank, ..
    } = batch;
    let mut text = format::line("batch", &format::shape(shape, *blank, file.kind.name()));
    if adapters == 0 {
        text += &format::line("note", NO_ADAPTER);
    }
    text.push('\n');
    let mut table = vec![];
    for row in rows {
        let mut cells = vec![row.name.clone()];
        cells.extend(match &row.comparison {
            Ok(comparison) => [
                format::small(comparison.loss.worst),
                format::small(comparison.grad.worst),
                match comparison.status_mismatches {
                    0 => "agree".to_owned(),
                    count => format!("{count} differ"),
                },
                format::milliseconds(comparison.time),
            ],
            Err(_) => std::array::from_fn(|_| "–".to_owned()),
        });
        cells.push(row.result_name().to_owned());
        table.push(cells);
    }
    let dash = || "–".to_owned();
    let time = format::milliseconds(reference);
    table.push(vec![
        LossEngine::Reference.name(),
        dash(),
        dash(),
        dash(),
        time,
        "reference".to_owned(),
    ]);
    let header = [
        "backend",
        "loss error",
        "gradient error",
        "statuses",
        "time",
        "result",
    ];
    text += &format::table(&header, table, &[0, 5]);
    let reasons: String = rows.iter().filter_map(|row| failure(batch, row)).collect();
    if !reasons.is_empty() {
        text.push('\n');
        text += &reasons;
    }
    text
}

/// Describes on one line why a backend fails; returns `None` if it passes.
fn failure(batch: &LoadedBatch, row: &CheckRow) -> Option<String> {
    let comparison = match &row.comparison {
        Err(reason) => return Some(format!("{}: {}\n", row.name, reason)),
        Ok(comparison) if comparison.passes() => return None,
        Ok(comparison) => comparison,
    };
    let mut reasons = Vec::new();
    if comparison.loss.worst > LOSS_TOLERANCE {
        let Deviation { worst, at } = comparison.loss;
        reasons.push(format!(
            "the loss of item {at} has an error of {}: at most {LOSS_TOLERANCE:e} passes",
            format::small(worst)
        ));
    }
    if comparison.grad.worst > GRAD_TOLERANCE {
        let Deviation { worst, at } = comparison.grad;
        let [item, frame, class] = position(&batch.shape, at);
        reasons.push(format!(
            "the gradient at item {item}, frame {frame}, class {class} has an error of {}: at most \
             {GRAD_TOLERANCE:e} passes",
            format::small(worst)
        ));
    }
    if comparison.status_mismatches > 0 {
        let count = comparison.status_mismatches;
        reasons.push(format!(
            "the statuses of {count} items differ from the reference's"
        ));
    }
    Some(format!("{}: {}\n", row.name, reasons.join("; ")))
}

fn json(batch: &LoadedBatch, rows: &[CheckRow], adapters: usize, reference: Duration) -> Value {
    let LoadedBatch {
        file, shape, blank, ..
    } = batch;
    let backends = rows.iter().map(|row| match &row.comparison {
        Err(reason) => json!({
            "backend": row.name,
            "reason": reason,
            "result": row.result_name(),
        }),
        Ok(comparison) => json!({
            "backend": row.name,
            "loss_error": format::deviation_json(comparison.loss, json!([comparison.loss.at])),
            "grad_error": format::deviation_json(comparison.grad, json!(position(shape, comparison.grad.at))),
            "status_mismatches": comparison.status_mismatches,
            "median_ms": format::milliseconds_json(comparison.time),
            "result": row.result_name(),
        }),
    });
    json!({
        "shape": format::shape_json(shape, *blank, file.kind.name()),
        "adapters": adapters,
        "backends": backends.collect::<Vec<_>>(),
        "reference_ms": format::milliseconds_json(reference),
        "loss_tolerance": LOSS_TOLERANCE,
        "grad_tolerance": GRAD_TOLERANCE,
        "passed": !rows.iter().any(CheckRow::fails),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(loss: f64, grad: f64, status_mismatches: usize) -> CheckRow {
        let at = |worst| Deviation { worst, at: 0 };
        CheckRow {
            name: String::new(),
            comparison: Ok(Comparison {
                loss: at(loss),
                grad: at(grad),
                status_mismatches,
                time: Duration::ZERO,
            }),
        }
    }

    #[test]
    fn a_wrong_loss_gradient_or_status_or_an_error_fails_a_backend() {
        assert_eq!(row(1e-6, 1e-5, 0).result_name(), "pass");
        for fails in [
            row(1.1e-6, 0.0, 0),
            row(0.0, 1.1e-5, 0),
            row(0.0, 0.0, 1),
            row(f64::INFINITY, 0.0, 0),
        ] {
            assert!(fails.fails());
        }
        let broken = CheckRow {
            name: String::new(),
            comparison: Err("no device".to_owned()),
        };
        assert!(broken.fails());
    }
}
