//! `ctc-wgpu check`: every backend against the float64 reference, on one batch.

use std::time::Duration;

use clap::Args;
use ctc_wgpu::{Ctc, Input};
use serde_json::{Value, json};

use crate::args::BatchArgs;
use crate::compare::{Deviation, largest, loss_deviation, position};
use crate::engine::{Answer, Engine, Timed};
use crate::fault::Fault;
use crate::format::{self, Outcome};
use crate::loss::Accepted;
use crate::progress;

/// The largest loss error that passes, relative to `max(1, |loss|)`.
const LOSS_TOLERANCE: f64 = 1e-6;

/// The largest gradient error that passes.
const GRAD_TOLERANCE: f64 = 1e-5;

/// Runs after the first, for the timing.
const MORE_RUNS: u32 = 3;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    batch: BatchArgs,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What became of one backend.
struct Row {
    name: String,
    /// Its errors, or why it has none to show.
    result: Result<Compared, String>,
}

struct Compared {
    loss: Deviation,
    grad: Deviation,
    /// How many items have another status than the reference's.
    statuses_off: usize,
    time: Duration,
}

impl Compared {
    fn passes(&self) -> bool {
        self.loss.worst <= LOSS_TOLERANCE
            && self.grad.worst <= GRAD_TOLERANCE
            && self.statuses_off == 0
    }
}

impl Row {
    fn verdict(&self) -> &'static str {
        match &self.result {
            Ok(found) if found.passes() => "pass",
            _ => "FAIL",
        }
    }

    fn fails(&self) -> bool {
        self.verdict() == "FAIL"
    }
}

/// The backends to check.
struct Backends {
    /// Each adapter and the CPU backend, or why one could not be had.
    found: Vec<(String, Result<Engine, String>)>,
    adapters: usize,
}

impl Backends {
    fn find() -> Self {
        let mut found: Vec<(String, Result<Engine, String>)> = Vec::new();
        let adapters = ctc_wgpu::adapters();
        for adapter in &adapters {
            let wanted = adapter.get_info();
            let name = format!("{} ({})", wanted.name, wanted.backend);
            let engine = Ctc::on_adapter(adapter)
                .map(|ctc| Engine::Ctc(Box::new(ctc)))
                .map_err(|e| e.to_string());
            found.push((name, engine));
        }
        let twin = Engine::Ctc(Box::new(Ctc::cpu()));
        found.push((twin.name(), Ok(twin)));
        Self {
            found,
            adapters: adapters.len(),
        }
    }
}

pub(crate) fn run(args: &CheckArgs) -> Result<Outcome, Fault> {
    let accepted = Accepted::read(&args.batch)?;
    let backends = Backends::find();
    let bar = progress::working(backends.found.len() as u64 + 1);
    bar.set_message("float64 reference");
    let truth = Engine::Reference
        .run(&accepted.file.batch(), &accepted.options, true)
        .map_err(|e| Fault::library(&args.batch.input.file, e));
    bar.inc(1);
    let (truth, reference_time) = truth?;
    truth
        .fits(&accepted.shape)
        .map_err(|reason| Fault::Compute(format!("float64 reference {reason}")))?;
    let rows: Vec<Row> = backends
        .found
        .into_iter()
        .map(|(name, engine)| {
            bar.set_message(name.clone());
            let result = engine.and_then(|engine| compare(&accepted, &engine, &truth));
            bar.inc(1);
            Row { name, result }
        })
        .collect();
    bar.finish_and_clear();
    let passed = !rows.iter().any(Row::fails);
    if args.json {
        let value = json(&accepted, &rows, backends.adapters, reference_time);
        return Ok(Outcome::json(&value, passed));
    }
    let text = human(&accepted, &rows, backends.adapters, reference_time);
    Ok(Outcome { text, passed })
}

fn compare(accepted: &Accepted, engine: &Engine, truth: &Answer) -> Result<Compared, String> {
    let Accepted {
        file,
        options,
        shape,
        ..
    } = accepted;
    let timed = Timed::run(engine, &file.batch(), options, true, MORE_RUNS, |_| ())
        .map_err(|e| e.to_string())?;
    let answer = &timed.answer;
    answer.fits(shape)?;
    let of_probs = matches!(options.input, Input::Probs { .. });
    let scale = |at: usize, truth: f64| {
        let [item, ..] = position(shape, at);
        let weight = file
            .weights
            .as_ref()
            .map_or(1.0, |w| f64::from(w[item]).abs());
        // The gradient with respect to a probability grows as 1/(p + ε).
        let size = if of_probs { truth.abs() } else { 1.0 };
        weight.max(size).max(1.0)
    };
    let (got, want) = (answer.grad.as_deref(), truth.grad.as_deref());
    let pairs = answer.status.iter().zip(&truth.status);
    Ok(Compared {
        loss: loss_deviation(&answer.loss, &truth.loss),
        grad: largest(got.unwrap_or_default(), want.unwrap_or_default(), scale),
        statuses_off: pairs.filter(|(got, want)| got != want).count(),
        time: timed.median().unwrap_or(timed.first),
    })
}

const NO_ADAPTER: &str = "no GPU adapter was found: the CPU backend is checked alone";

fn human(accepted: &Accepted, rows: &[Row], adapters: usize, reference: Duration) -> String {
    let Accepted {
        file, shape, blank, ..
    } = accepted;
    let mut text = format::line("batch", &format::shape(shape, *blank, file.kind.name()));
    if adapters == 0 {
        text += &format::line("note", NO_ADAPTER);
    }
    text.push('\n');
    let mut table = vec![];
    for row in rows {
        let mut cells = vec![row.name.clone()];
        cells.extend(match &row.result {
            Ok(found) => [
                format::small(found.loss.worst),
                format::small(found.grad.worst),
                match found.statuses_off {
                    0 => "agree".to_owned(),
                    off => format!("{off} differ"),
                },
                format::milliseconds(found.time),
            ],
            Err(_) => std::array::from_fn(|_| "–".to_owned()),
        });
        cells.push(row.verdict().to_owned());
        table.push(cells);
    }
    let dash = || "–".to_owned();
    let time = format::milliseconds(reference);
    let judge = Engine::Reference.name();
    table.push(vec![
        judge,
        dash(),
        dash(),
        dash(),
        time,
        "judge".to_owned(),
    ]);
    let header = [
        "backend",
        "loss error",
        "gradient error",
        "statuses",
        "time",
        "verdict",
    ];
    text += &format::table(&header, table, &[0, 5]);
    let reasons: String = rows.iter().filter_map(|row| why(accepted, row)).collect();
    if !reasons.is_empty() {
        text.push('\n');
        text += &reasons;
    }
    text
}

/// Why a backend fails, in a line.
fn why(accepted: &Accepted, row: &Row) -> Option<String> {
    let found = match &row.result {
        Err(trouble) => return Some(format!("{}: {}\n", row.name, trouble)),
        Ok(found) if found.passes() => return None,
        Ok(found) => found,
    };
    let mut told = Vec::new();
    if found.loss.worst > LOSS_TOLERANCE {
        let Deviation { worst, at } = found.loss;
        told.push(format!(
            "loss of item {at} is off by {} (up to {LOSS_TOLERANCE:e} passes)",
            format::small(worst)
        ));
    }
    if found.grad.worst > GRAD_TOLERANCE {
        let Deviation { worst, at } = found.grad;
        let [item, frame, class] = position(&accepted.shape, at);
        told.push(format!(
            "gradient at item {item}, frame {frame}, class {class} is off by {} (up to {GRAD_TOLERANCE:e} passes)",
            format::small(worst)
        ));
    }
    if found.statuses_off > 0 {
        told.push(format!("{} statuses differ", found.statuses_off));
    }
    Some(format!("{}: {}\n", row.name, told.join("; ")))
}

fn json(accepted: &Accepted, rows: &[Row], adapters: usize, reference: Duration) -> Value {
    let Accepted {
        file, shape, blank, ..
    } = accepted;
    let backends = rows.iter().map(|row| match &row.result {
        Err(trouble) => json!({
            "backend": row.name,
            "reason": trouble,
            "verdict": row.verdict(),
        }),
        Ok(found) => json!({
            "backend": row.name,
            "loss_error": format::deviation_json(found.loss, json!([found.loss.at])),
            "grad_error": format::deviation_json(found.grad, json!(position(shape, found.grad.at))),
            "statuses_off": found.statuses_off,
            "median_ms": format::milliseconds_json(found.time),
            "verdict": row.verdict(),
        }),
    });
    json!({
        "shape": format::shape_json(shape, *blank, file.kind.name()),
        "adapters": adapters,
        "backends": backends.collect::<Vec<_>>(),
        "reference_ms": format::milliseconds_json(reference),
        "loss_tolerance": LOSS_TOLERANCE,
        "grad_tolerance": GRAD_TOLERANCE,
        "passed": !rows.iter().any(Row::fails),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(loss: f64, grad: f64, statuses_off: usize) -> Row {
        let at = |worst| Deviation { worst, at: 0 };
        Row {
            name: String::new(),
            result: Ok(Compared {
                loss: at(loss),
                grad: at(grad),
                statuses_off,
                time: Duration::ZERO,
            }),
        }
    }

    #[test]
    fn a_backend_fails_by_its_loss_its_gradient_its_statuses_or_an_error() {
        assert_eq!(row(1e-6, 1e-5, 0).verdict(), "pass");
        for fails in [
            row(1.1e-6, 0.0, 0),
            row(0.0, 1.1e-5, 0),
            row(0.0, 0.0, 1),
            row(f64::INFINITY, 0.0, 0),
        ] {
            assert!(fails.fails());
        }
        let broken = Row {
            name: String::new(),
            result: Err("no device".to_owned()),
        };
        assert!(broken.fails());
    }
}
