//! `ctc-wgpu decode`: what a network read.

use clap::Args;
use ctc_wgpu::decode::{self, BeamOptions, Edits};
use ctc_wgpu::{Problem, Status};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::fault::Fault;
use crate::format::{self, Outcome};
use crate::loss::Accepted;

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    alphabet: AlphabetArgs,

    /// Search the likeliest labels over all their paths, keeping this many prefixes [default: read the likeliest path]
    #[arg(long, value_name = "WIDTH", value_parser = clap::value_parser!(u32).range(1..))]
    beam: Option<u32>,

    /// With --beam: print this many candidates of each item
    #[arg(long, value_name = "K", default_value = "1", requires = "beam", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// With --beam: only look at classes whose probability in a frame is at least this
    #[arg(long, value_name = "P", default_value = "0", requires = "beam")]
    least_probability: f64,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was read in an item: the best, and the runners-up.
struct Read {
    candidates: Vec<(Vec<u32>, f64)>,
    status: Status,
}

pub(crate) fn run(args: &DecodeArgs) -> Result<Outcome, Fault> {
    let accepted = Accepted::with(&args.input, |file| args.input.options(file))?;
    let alphabet = args.alphabet.read(accepted.shape.classes, accepted.blank)?;
    let reads = read(args, &accepted)?;
    let wanted = labels(&accepted)?;
    let edits: Vec<Edits> = wanted
        .iter()
        .zip(&reads)
        .map(|(labels, read)| read.edits(labels))
        .collect();
    let report = Report {
        alphabet: &alphabet,
        wanted: &wanted,
        reads: &reads,
        edits: &edits,
    };
    if args.json {
        return Ok(Outcome::json(&report.json(), true));
    }
    Ok(Outcome {
        text: report.human(args.beam),
        passed: true,
    })
}

fn read(args: &DecodeArgs, accepted: &Accepted) -> Result<Vec<Read>, Fault> {
    let (batch, options) = (accepted.file.batch(), &accepted.options);
    let fault = |error| Fault::library(&args.input.file, error);
    let Some(width) = args.beam else {
        let readings = decode::greedy(&batch, options).map_err(fault)?;
        let read = readings.into_iter().map(|reading| Read {
            candidates: vec![(reading.labels, reading.score)],
            status: reading.status,
        });
        return Ok(read.collect());
    };
    let beam = BeamOptions {
        width: width as usize,
        top: args.top as usize,
        least_probability: args.least_probability,
        ..BeamOptions::default()
    };
    let found = decode::beam(&batch, options, &beam).map_err(fault)?;
    let read = found.into_iter().map(|found| match found {
        Ok(candidates) => Read {
            candidates: candidates.into_iter().map(|c| (c.labels, c.loss)).collect(),
            status: Status::Ok,
        },
        Err(status) => Read {
            candidates: vec![(Vec::new(), f64::NAN)],
            status,
        },
    });
    Ok(read.collect())
}

/// The labels of each item.
pub(crate) fn labels(accepted: &Accepted) -> Result<Vec<Vec<u32>>, Fault> {
    let problem = Problem::new(&accepted.file.batch(), &accepted.options)
        .map_err(|e| Fault::input(&accepted.file.path, e))?;
    let items = 0..problem.shape().items;
    Ok(items
        .map(|item| {
            problem
                .item_labels(item)
                .iter()
                .map(|l| l.unsigned_abs())
                .collect()
        })
        .collect())
}

impl Read {
    fn edits(&self, labels: &[u32]) -> Edits {
        let best = self
            .candidates
            .first()
            .map_or(&[][..], |(labels, _)| labels);
        Edits::between(labels, best)
    }
}

struct Report<'a> {
    alphabet: &'a Alphabet,
    wanted: &'a [Vec<u32>],
    reads: &'a [Read],
    edits: &'a [Edits],
}

impl Report<'_> {
    fn human(&self, beam: Option<u32>) -> String {
        let score = if beam.is_some() {
            "loss"
        } else {
            "−ln p(path)"
        };
        let mut rows = Vec::new();
        for (item, (read, wanted)) in self.reads.iter().zip(self.wanted).enumerate() {
            for (rank, (labels, score)) in read.candidates.iter().enumerate() {
                let first = rank == 0;
                let only = |text: String| if first { text } else { String::new() };
                let wrong = match self.edits[item].total() {
                    0 => String::new(),
                    n => n.to_string(),
                };
                rows.push(vec![
                    only(item.to_string()),
                    match read.status {
                        Status::Ok => self.alphabet.text(labels),
                        status => format!("({})", format::status_name(status)),
                    },
                    format::loss(*score),
                    only(self.alphabet.text(wanted)),
                    only(wrong),
                ]);
            }
        }
        let mut text = format::table(&["item", "read", score, "labels", "errors"], rows, &[1, 3]);
        text += &format!("\n{}\n", self.summary());
        text
    }

    fn summary(&self) -> String {
        let exact = self.edits.iter().filter(|edits| edits.total() == 0).count();
        let all: Edits = self.edits.iter().copied().sum();
        format!(
            "{exact} of {} items without a fault; label error rate {:.2} %: {} substitutions, {} deletions, {} insertions in {} labels",
            self.edits.len(),
            100.0 * all.rate(),
            all.substitutions,
            all.deletions,
            all.insertions,
            all.labels
        )
    }

    fn json(&self) -> Value {
        let items = self.reads.iter().zip(self.edits).map(|(read, edits)| {
            let candidates = read.candidates.iter().map(|(labels, score)| {
                json!({ "labels": labels, "text": self.alphabet.text(labels), "score": format::number(*score) })
            });
            json!({
                "candidates": candidates.collect::<Vec<_>>(),
                "status": format::status_name(read.status),
                "errors": edits.total(),
            })
        });
        let all: Edits = self.edits.iter().copied().sum();
        json!({
            "items": items.collect::<Vec<_>>(),
            "label_error_rate": format::number(all.rate()),
            "substitutions": all.substitutions,
            "deletions": all.deletions,
            "insertions": all.insertions,
            "labels": all.labels,
        })
    }
}
