//! `ctc-wgpu bench --decode`: alignments and decoders, each held against the losses of what it reads and only then timed.

mod kernels;
mod report;
#[path = "../../../../benches/inputs/trained.rs"]
mod trained;

use std::time::Instant;

use ctc_wgpu::decode::{self, BeamOptions};
use ctc_wgpu::{Batch, Ctc, Error, Options, Status};

use super::inputs::{Inputs, name};
use super::measure::Times;
use super::on_device::{Clocks, Extras};
use super::subject::Subject;
use crate::fault::Fault;
use crate::format::Outcome;
use report::{Report, Row};
pub(crate) use trained::SHAPES;

/// What is timed: its name, and how wide to search where it is a beam.
struct Decoder {
    name: &'static str,
    beam: Option<BeamOptions>,
}

const DECODERS: [Decoder; 6] = [
    decoder("align", None),
    decoder("greedy", None),
    decoder("beam 16", Some(beam(16, 0.0))),
    decoder("beam 100", Some(beam(100, 0.0))),
    decoder("beam 16, p ≥ 0.0001", Some(beam(16, 1e-4))),
    decoder("beam 100, p ≥ 0.0001", Some(beam(100, 1e-4))),
];

const fn decoder(name: &'static str, beam: Option<BeamOptions>) -> Decoder {
    Decoder { name, beam }
}

const fn beam(width: usize, least_probability: f64) -> BeamOptions {
    BeamOptions::new()
        .width(width)
        .least_probability(least_probability)
}

/// What an item's answer comes to: an alignment's path or a decoder's labels, and −ln of the probability that it tells.
type Answer = (Vec<u32>, f64);

struct Figures {
    clocks: Clocks,
    /// Beside an adapter's.
    on_cpu: Option<Times>,
    answers: Vec<Answer>,
}

/// Times all tasks at these shapes; on an adapter those that it has kernels for.
pub(crate) fn run(
    subject: &Subject,
    shapes: &[[usize; 4]],
    extras: Extras,
    as_json: bool,
    mut begin: impl FnMut(&str),
) -> Result<Outcome, Fault> {
    let mut rows = Vec::new();
    for &shape in shapes {
        let mut inputs = Inputs::new(shape, 1.0);
        trained::sharpen(&mut inputs.logits, &inputs.labels, shape);
        for decoder in &DECODERS {
            begin(&format!("{}, {}", name(shape), decoder.name));
            let result = match subject {
                Subject::Cpu { pool, ctc } => pool.install(|| measure(ctc, &inputs, decoder)),
                Subject::Gpu { gpu, stamps, .. } => match kernels::task(decoder) {
                    Some(task) => {
                        kernels::measure(gpu, stamps.as_ref(), extras, &inputs, decoder, task)
                    }
                    None => continue,
                },
            };
            rows.push(Row {
                shape,
                decoder: decoder.name,
                result,
            });
        }
    }
    Ok(Report { subject, rows }.outcome(as_json))
}

fn measure(ctc: &Ctc, inputs: &Inputs, decoder: &Decoder) -> Result<Figures, String> {
    let told = |error: Error| error.to_string();
    let batch = inputs.batch();
    let answers = answer(&batch, decoder).map_err(told)?;
    check(ctc, inputs, decoder, &answers)?;
    let times = Times::take(|| {
        let start = Instant::now();
        answer(&batch, decoder)?;
        Ok(start.elapsed())
    });
    Ok(Figures {
        clocks: Clocks::host(times.map_err(told)?),
        on_cpu: None,
        answers,
    })
}

fn answer(batch: &Batch<'_>, decoder: &Decoder) -> Result<Vec<Answer>, Error> {
    let options = Options::default();
    Ok(match &decoder.beam {
        Some(beam) => {
            let found = decode::beam(batch, &options, beam)?.into_iter();
            found
                .map(|item| {
                    let best = item.hypotheses.into_iter().next();
                    best.map_or((Vec::new(), f64::NAN), |best| {
                        (best.labels, 0.0 - best.log_prob)
                    })
                })
                .collect()
        }
        None if decoder.name == "align" => {
            let found = decode::align(batch, &options)?.into_iter();
            found.map(|item| (item.path, 0.0 - item.log_prob)).collect()
        }
        None => {
            let found = decode::greedy(batch, &options)?.into_iter();
            found
                .map(|item| (item.labels, 0.0 - item.log_prob))
                .collect()
        }
    })
}

/// How far a loss in f32 may be from one in f64.
const TOLERANCE: f64 = 1e-5;

/// No path, and no paths that a beam kept, are likelier than all that read the same; and an alignment reads as the labels.
fn check(ctc: &Ctc, inputs: &Inputs, decoder: &Decoder, answers: &[Answer]) -> Result<(), String> {
    for (n, (found, score)) in answers.iter().enumerate() {
        let mut labels: Vec<i32> = found.iter().map(|class| class.cast_signed()).collect();
        if decoder.name == "align" {
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
