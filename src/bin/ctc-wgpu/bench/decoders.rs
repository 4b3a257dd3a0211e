//! `ctc-wgpu bench --decode`: alignments and decoders, each held against the losses of what it reads and only then timed.

use std::time::Instant;

use ctc_wgpu::decode::{self, BeamOptions};
use ctc_wgpu::{Batch, Ctc, Error, Options, Status};
use serde_json::{Value, json};

use super::inputs::{Inputs, name};
use super::measure::Times;
use super::subject::Subject;
#[path = "../../../../benches/inputs/trained.rs"]
mod trained;
use crate::fault::Fault;
use crate::format::{self, Outcome};
pub(crate) use trained::SHAPES;

/// What is timed: its name, and how wide to search where it is a beam.
const TASKS: [(&str, Option<BeamOptions>); 6] = [
    ("align", None),
    ("greedy", None),
    ("beam 16", Some(beam(16, 0.0))),
    ("beam 100", Some(beam(100, 0.0))),
    ("beam 16, p ≥ 0.0001", Some(beam(16, 1e-4))),
    ("beam 100, p ≥ 0.0001", Some(beam(100, 1e-4))),
];

const fn beam(width: usize, least_probability: f64) -> BeamOptions {
    BeamOptions {
        width,
        top: 1,
        classes: usize::MAX,
        least_probability,
    }
}

/// What an item's answer comes to: an alignment's path or a decoder's labels, and −ln of the probability that it tells.
type Answer = (Vec<u32>, f64);

struct Figures {
    times: Times,
    answers: Vec<Answer>,
}

/// Times all tasks at these shapes.
pub(crate) fn run(
    subject: &Subject,
    shapes: &[[usize; 4]],
    as_json: bool,
    mut begin: impl FnMut(&str),
) -> Result<Outcome, Fault> {
    let Subject::Cpu { pool, ctc } = subject else {
        let reason = "--decode computes on the CPU: it does not go with a GPU";
        return Err(Fault::Usage(reason.to_owned()));
    };
    let (mut objects, mut rows) = (Vec::new(), Vec::new());
    let mut passed = true;
    for &shape in shapes {
        let mut inputs = Inputs::new(shape, 1.0);
        trained::sharpen(&mut inputs.logits, &inputs.labels, shape);
        let mut row = vec![name(shape)];
        for (task, beam) in TASKS {
            begin(&format!("{}, {task}", name(shape)));
            let result = pool.install(|| measure(ctc, &inputs, task, beam.as_ref()));
            passed &= result.is_ok();
            row.push(match &result {
                Ok(figures) => format::milliseconds(figures.times.median()),
                Err(reason) => format!("FAILED: {reason}"),
            });
            let mut object = super::report::subject_json(subject);
            object["shape"] = json!(shape);
            object["task"] = json!(task);
            object["version"] = json!(env!("CARGO_PKG_VERSION"));
            tell(&mut object, &result);
            objects.push(object);
        }
        rows.push(row);
    }
    if as_json {
        return Ok(Outcome::json(&Value::Array(objects), passed));
    }
    let header: Vec<&str> = std::iter::once("shape")
        .chain(TASKS.map(|(task, _)| task))
        .collect();
    let mut text = format::line("backend", &subject.name());
    text += &format::line("timed", "from call to answer, median\n");
    text += &format::table(&header, rows, &[0]);
    Ok(Outcome { text, passed })
}

fn tell(object: &mut Value, result: &Result<Figures, String>) {
    match result {
        Ok(Figures { times, answers }) => {
            object["median_ms"] = format::milliseconds_json(times.median());
            object["min_ms"] = format::milliseconds_json(times.min());
            object["runs"] = json!(times.runs());
            let (read, scores): (Vec<_>, Vec<_>) = answers.iter().cloned().unzip();
            object["answers"] = json!(read);
            object["scores"] = json!(scores);
        }
        Err(reason) => object["error"] = json!(reason),
    }
}

fn measure(
    ctc: &Ctc,
    inputs: &Inputs,
    task: &str,
    beam: Option<&BeamOptions>,
) -> Result<Figures, String> {
    let told = |error: Error| error.to_string();
    let batch = inputs.batch();
    let answers = answer(&batch, task, beam).map_err(told)?;
    check(ctc, inputs, task, &answers)?;
    let times = Times::take(|| {
        let start = Instant::now();
        answer(&batch, task, beam)?;
        Ok(start.elapsed())
    });
    Ok(Figures {
        times: times.map_err(told)?,
        answers,
    })
}

fn answer(batch: &Batch<'_>, task: &str, beam: Option<&BeamOptions>) -> Result<Vec<Answer>, Error> {
    let options = Options::default();
    Ok(match beam {
        Some(beam) => {
            let found = decode::beam(batch, &options, beam)?.into_iter();
            found
                .map(|item| {
                    let best = item.ok().and_then(|found| found.into_iter().next());
                    best.map_or((Vec::new(), f64::NAN), |best| (best.labels, best.loss))
                })
                .collect()
        }
        None if task == "align" => {
            let found = decode::align(batch, &options)?.into_iter();
            found.map(|item| (item.path, item.score)).collect()
        }
        None => {
            let found = decode::greedy(batch, &options)?.into_iter();
            found.map(|item| (item.labels, item.score)).collect()
        }
    })
}

/// How far a loss in f32 may be from one in f64.
const TOLERANCE: f64 = 1e-5;

/// No path, and no paths that a beam kept, are likelier than all that read the same; and an alignment reads as the labels.
fn check(ctc: &Ctc, inputs: &Inputs, task: &str, answers: &[Answer]) -> Result<(), String> {
    for (n, (found, score)) in answers.iter().enumerate() {
        let mut labels: Vec<i32> = found.iter().map(|class| class.cast_signed()).collect();
        if task == "align" {
            labels.dedup();
            labels.retain(|class| *class != 0);
            let wanted = inputs.shape.max_labels;
            if labels != inputs.labels[n * wanted..][..wanted] {
                return Err(format!("item {n}: its path reads as other labels"));
            }
        }
        let length = [i32::try_from(labels.len()).unwrap_or(i32::MAX)];
        let item = inputs.part(n..n + 1).labels(&labels, &length);
        let output = ctc.loss(&item, &Options::default());
        let output = output.map_err(|error| error.to_string())?;
        let loss = f64::from(output.loss[0]);
        // Not `score < …`: a NaN must fail.
        let possible = *score >= loss - TOLERANCE * loss.max(1.0);
        if output.status[0] != Status::Ok || !possible {
            return Err(format!("item {n}: {score}, and the loss is {loss}"));
        }
    }
    Ok(())
}
