//! `ctc-wgpu decode`: what a network read.

use clap::Args;
use ctc_wgpu::Status;
use ctc_wgpu::decode::{self, BeamOptions, EditCounts};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::fault::{Fault, escaped};
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

    /// With --beam: print this many candidates of each item, at most WIDTH
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
    if let Some(width) = args.beam
        && args.top > width
    {
        let top = args.top;
        let reason = format!("--top {top}: --beam {width} keeps fewer candidates");
        return Err(Fault::Usage(reason));
    }
    let accepted = Accepted::unlabelled(&args.input, |file| args.input.options(file))?;
    let alphabet = args.alphabet.read(accepted.shape.classes, accepted.blank)?;
    let wanted = accepted.file.has_labels().then(|| labels(&accepted));
    let wanted = wanted.transpose()?;
    let reads = read(args, &accepted)?;
    let best = |read: &Read| read.candidates.first().map_or(0.0, |best| best.1);
    accepted.note_scores_below_0(reads.iter().map(best).enumerate());
    let report = Report {
        alphabet: &alphabet,
        judged: wanted.map(|wanted| Judged::new(wanted, &reads)),
        reads: &reads,
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
            candidates: vec![(reading.labels, 0.0 - reading.log_prob)],
            status: reading.status,
        });
        return Ok(read.collect());
    };
    let beam = BeamOptions::default()
        .width(width as usize)
        .top(args.top as usize)
        .least_probability(args.least_probability);
    let found = decode::beam(&batch, options, &beam).map_err(fault)?;
    let read = found.into_iter().map(|found| Read {
        candidates: match found.status {
            Status::Ok => (found.hypotheses.into_iter())
                .map(|hypothesis| (hypothesis.labels, 0.0 - hypothesis.log_prob))
                .collect(),
            _ => vec![(Vec::new(), f64::NAN)],
        },
        status: found.status,
    });
    Ok(read.collect())
}

/// The labels of each item.
fn labels(accepted: &Accepted) -> Result<Vec<Vec<u32>>, Fault> {
    let checked = accepted.checked()?;
    let items = 0..checked.shape().items;
    Ok(items
        .map(|item| {
            checked
                .item_labels(item)
                .iter()
                .map(|l| l.unsigned_abs())
                .collect()
        })
        .collect())
}

impl Read {
    fn edits(&self, labels: &[u32]) -> EditCounts {
        let best = self
            .candidates
            .first()
            .map_or(&[][..], |(labels, _)| labels);
        EditCounts::between(labels, best)
    }
}

/// What was to be read, and what is wrong with what was.
struct Judged {
    wanted: Vec<Vec<u32>>,
    edits: Vec<EditCounts>,
}

impl Judged {
    fn new(wanted: Vec<Vec<u32>>, reads: &[Read]) -> Self {
        let both = wanted.iter().zip(reads);
        Self {
            edits: both.map(|(labels, read)| read.edits(labels)).collect(),
            wanted,
        }
    }

    fn all(&self) -> EditCounts {
        self.edits.iter().copied().sum()
    }

    fn summary(&self) -> String {
        let exact = self.edits.iter().filter(|edits| edits.total() == 0).count();
        let all = self.all();
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
}

struct Report<'a> {
    alphabet: &'a Alphabet,
    reads: &'a [Read],
    /// Where the file has labels.
    judged: Option<Judged>,
}

impl Report<'_> {
    fn human(&self, beam: Option<u32>) -> String {
        let score = if beam.is_some() {
            "loss"
        } else {
            "−ln p(path)"
        };
        let mut header = vec!["item", "read", score];
        if self.judged.is_some() {
            header.extend(["labels", "errors"]);
        }
        let mut rows = Vec::new();
        for (item, read) in self.reads.iter().enumerate() {
            for (rank, (labels, score)) in read.candidates.iter().enumerate() {
                let first = rank == 0;
                let only = |text: String| if first { text } else { String::new() };
                let mut row = vec![
                    only(item.to_string()),
                    match read.status {
                        Status::Ok => escaped(&self.alphabet.text(labels)),
                        status => format!("({})", status.name()),
                    },
                    format::loss(*score),
                ];
                if let Some(Judged { wanted, edits }) = &self.judged {
                    let wrong = match edits[item].total() {
                        0 => String::new(),
                        n => n.to_string(),
                    };
                    row.extend([
                        only(escaped(&self.alphabet.text(&wanted[item]))),
                        only(wrong),
                    ]);
                }
                rows.push(row);
            }
        }
        let text = format::table(&header, rows, &[1, 3]);
        match &self.judged {
            Some(judged) => format!("{text}\n{}\n", judged.summary()),
            None => text,
        }
    }

    fn json(&self) -> Value {
        let items = self.reads.iter().enumerate().map(|(item, read)| {
            let candidates = read.candidates.iter().map(|(labels, score)| {
                json!({ "labels": labels, "text": self.alphabet.text(labels), "score": format::number(*score) })
            });
            let mut value = json!({
                "candidates": candidates.collect::<Vec<_>>(),
                "status": read.status.name(),
            });
            if let Some(judged) = &self.judged {
                value["errors"] = json!(judged.edits[item].total());
            }
            value
        });
        let mut value = json!({ "items": items.collect::<Vec<_>>() });
        if let Some(judged) = &self.judged {
            let all = judged.all();
            value["label_error_rate"] = format::number(all.rate());
            value["substitutions"] = json!(all.substitutions);
            value["deletions"] = json!(all.deletions);
            value["insertions"] = json!(all.insertions);
            value["labels"] = json!(all.labels);
        }
        value
    }
}
