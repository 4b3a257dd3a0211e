//! `ctc-wgpu bench --decode`: checks alignment and each decoder against the losses of the labels
//! that they return, and then times them.

mod kernels;
mod report;
use ctc_wgpu_bench_support::trained;

use std::time::Instant;

use ctc_wgpu::decode::{self, BeamOptions};
use ctc_wgpu::{Batch, Ctc, Error, Options, Status};

use super::backend::BenchBackend;
use super::batch_times::{BatchTimes, MeasureOptions};
use super::measure::Times;
use crate::error::CliError;
use crate::format::Outcome;
use ctc_wgpu_bench_support::inputs::{Inputs, name};
use report::{DecoderReport, DecoderRow};
pub(crate) use trained::SHAPES;

/// Alignment or a decoder, with the options of a beam search.
struct Decoder {
    name: &'static str,
    method: Method,
}

enum Method {
    Align,
    Greedy,
    Beam(BeamOptions),
}

const DECODERS: [Decoder; 6] = [
    decoder("align", Method::Align),
    decoder("greedy", Method::Greedy),
    decoder("beam 16", beam(16, 0.0)),
    decoder("beam 100", beam(100, 0.0)),
    decoder("beam 16, p ≥ 0.0001", beam(16, 1e-4)),
    decoder("beam 100, p ≥ 0.0001", beam(100, 1e-4)),
];

const fn decoder(name: &'static str, method: Method) -> Decoder {
    Decoder { name, method }
}

const fn beam(width: usize, min_probability: f64) -> Method {
    Method::Beam(
        BeamOptions::new()
            .width(width)
            .min_probability(min_probability),
    )
}

/// The result of an item: the path of an alignment or the labels of a decoder, and their
/// log-probability.
type Decoded = (Vec<u32>, f64);

struct DecoderMeasurement {
    times: BatchTimes,
    /// The times of the CPU backend, if the kernels of an adapter were timed.
    on_cpu: Option<Times>,
    results: Vec<Decoded>,
}

/// Times all decoders at these shapes, or on an adapter those that have kernels.
pub(crate) fn run(
    backend: &BenchBackend,
    shapes: &[[usize; 4]],
    options: MeasureOptions,
    as_json: bool,
    mut begin: impl FnMut(&str),
) -> Result<Outcome, CliError> {
    let mut rows = Vec::new();
    for &shape in shapes {
        let mut inputs = Inputs::new(shape, 1.0);
        trained::sharpen(&mut inputs.logits, &inputs.labels, shape);
        for decoder in &DECODERS {
            begin(&format!("{}, {}", name(shape), decoder.name));
            let result = match backend {
                BenchBackend::Cpu { pool, ctc } => pool.install(|| measure(ctc, &inputs, decoder)),
                BenchBackend::Gpu {
                    gpu, timestamps, ..
                } => match kernels::task(decoder) {
                    Some(task) => {
                        kernels::measure(gpu, timestamps.as_ref(), options, &inputs, decoder, task)
                    }
                    None => continue,
                },
            };
            rows.push(DecoderRow {
                shape,
                decoder: decoder.name,
                result,
            });
        }
    }
    Ok(DecoderReport { backend, rows }.outcome(as_json))
}

fn measure(ctc: &Ctc, inputs: &Inputs, decoder: &Decoder) -> Result<DecoderMeasurement, String> {
    let message = |error: Error| error.to_string();
    let batch = inputs.batch();
    let results = decode(&batch, decoder).map_err(message)?;
    check(ctc, inputs, decoder, &results)?;
    let times = Times::take(|| {
        let start = Instant::now();
        decode(&batch, decoder)?;
        Ok(start.elapsed())
    });
    Ok(DecoderMeasurement {
        times: BatchTimes::host(times.map_err(message)?),
        on_cpu: None,
        results,
    })
}

fn decode(batch: &Batch<'_>, decoder: &Decoder) -> Result<Vec<Decoded>, Error> {
    let options = Options::default();
    Ok(match &decoder.method {
        Method::Beam(beam) => {
            let items = decode::beam(batch, &options, beam)?.into_iter();
            items
                .map(|item| {
                    let best = item.hypotheses.into_iter().next();
                    best.map_or((Vec::new(), f64::NAN), |best| (best.labels, best.log_prob))
                })
                .collect()
        }
        Method::Align => {
            let items = decode::align(batch, &options)?.into_iter();
            items.map(|item| (item.path, item.log_prob)).collect()
        }
        Method::Greedy => {
            let items = decode::greedy(batch, &options)?.into_iter();
            items.map(|item| (item.labels, item.log_prob)).collect()
        }
    })
}

/// The tolerance between a loss in f32 and one in f64.
const TOLERANCE: f64 = 1e-5;

/// Checks that no result is more probable than all paths of its labels together, and that an
/// alignment has the labels of the item.
fn check(ctc: &Ctc, inputs: &Inputs, decoder: &Decoder, results: &[Decoded]) -> Result<(), String> {
    for (n, (classes, log_prob)) in results.iter().enumerate() {
        let mut labels: Vec<i32> = classes.iter().map(|class| class.cast_signed()).collect();
        if matches!(decoder.method, Method::Align) {
            labels.dedup();
            labels.retain(|class| *class != 0);
            let length = inputs.shape.max_labels;
            if labels != inputs.labels[n * length..][..length] {
                return Err(format!(
                    "item {n}: the labels of the path differ from those of the item"
                ));
            }
        }
        let length = [i32::try_from(labels.len()).unwrap_or(i32::MAX)];
        let item = inputs.part(n..n + 1).labels(&labels, &length);
        let output = ctc.loss(&item, &Options::default());
        let output = output.map_err(|error| error.to_string())?;
        let loss = f64::from(output.loss[0]);
        // Not `log_prob > …`: a NaN must fail.
        let possible = *log_prob <= TOLERANCE * loss.max(1.0) - loss;
        if output.status[0] != Status::Ok || !possible {
            return Err(format!(
                "item {n}: log_prob is {log_prob}: expected at most {}, that of all paths of the \
                 labels",
                0.0 - loss
            ));
        }
    }
    Ok(())
}
