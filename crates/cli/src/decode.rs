//! `ctc-wgpu decode`: decodes a batch, greedily or by beam search.

use clap::Args;
use ctc_wgpu::Status;
use ctc_wgpu::decode::{self, BeamOptions, EditCounts};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::error::CliError;
use crate::format::{self, Outcome};
use crate::loaded_batch::LoadedBatch;
use ctc_wgpu_npz::escaped;

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    alphabet: AlphabetArgs,

    /// Decode by prefix beam search with this many prefixes [default: greedy decoding]
    #[arg(long, value_name = "WIDTH", value_parser = clap::value_parser!(u32).range(1..))]
    beam: Option<u32>,

    /// With --beam: the number of hypotheses per item to print, at most WIDTH
    #[arg(long, value_name = "K", default_value = "1", requires = "beam", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// With --beam: extend prefixes only by classes of probability P or more at a frame
    #[arg(long, value_name = "P", default_value = "0", requires = "beam")]
    min_probability: f64,

    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The hypotheses of an item, the most probable first: labels and log-probability.
struct DecodedItem {
    hypotheses: Vec<(Vec<u32>, f64)>,
    status: Status,
}

pub(crate) fn run(args: &DecodeArgs) -> Result<Outcome, CliError> {
    if let Some(width) = args.beam
        && args.top > width
    {
        let top = args.top;
        let reason = format!("--top {top}: must be at most the width of the beam, {width}");
        return Err(CliError::Usage(reason));
    }
    let batch = LoadedBatch::read_unlabelled(&args.input, |file| args.input.options(file))?;
    let alphabet = args.alphabet.read(batch.shape.classes, batch.blank)?;
    let labels = batch.file.has_labels().then(|| labels(&batch));
    let labels = labels.transpose()?;
    let items = decode(args, &batch)?;
    let best = |item: &DecodedItem| item.hypotheses.first().map_or(0.0, |best| best.1);
    batch.note_positive_log_prob(items.iter().map(best).enumerate());
    let report = DecodeReport {
        alphabet: &alphabet,
        errors: labels.map(|labels| LabelErrors::new(labels, &items)),
        items: &items,
    };
    if args.json {
        return Ok(Outcome::json(&report.json(), true));
    }
    Ok(Outcome {
        text: report.text(),
        passed: true,
    })
}

fn decode(args: &DecodeArgs, batch: &LoadedBatch) -> Result<Vec<DecodedItem>, CliError> {
    let (file_batch, options) = (batch.file.batch(), &batch.options);
    let cli_error = |error| CliError::from_library(&args.input.file, error);
    let Some(width) = args.beam else {
        let hypotheses = decode::greedy(&file_batch, options).map_err(cli_error)?;
        let items = hypotheses.into_iter().map(|hypothesis| DecodedItem {
            hypotheses: vec![(hypothesis.labels, hypothesis.log_prob)],
            status: hypothesis.status,
        });
        return Ok(items.collect());
    };
    let beam = BeamOptions::default()
        .width(width as usize)
        .top(args.top as usize)
        .min_probability(args.min_probability);
    let results = decode::beam(&file_batch, options, &beam).map_err(cli_error)?;
    let items = results.into_iter().map(|result| DecodedItem {
        hypotheses: match result.status {
            Status::Ok => (result.hypotheses.into_iter())
                .map(|hypothesis| (hypothesis.labels, hypothesis.log_prob))
                .collect(),
            _ => vec![(Vec::new(), f64::NAN)],
        },
        status: result.status,
    });
    Ok(items.collect())
}

/// Returns the labels of each item.
fn labels(batch: &LoadedBatch) -> Result<Vec<Vec<u32>>, CliError> {
    let checked = batch.checked()?;
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

/// The labels of the file, and the edits from them to the decoded labels.
struct LabelErrors {
    labels: Vec<Vec<u32>>,
    edits: Vec<EditCounts>,
}

impl LabelErrors {
    fn new(labels: Vec<Vec<u32>>, items: &[DecodedItem]) -> Self {
        let edits = |(labels, item): (&Vec<u32>, &DecodedItem)| {
            let best = item.hypotheses.first();
            EditCounts::between(labels, best.map_or(&[][..], |(labels, _)| labels))
        };
        Self {
            edits: labels.iter().zip(items).map(edits).collect(),
            labels,
        }
    }

    fn all(&self) -> EditCounts {
        self.edits.iter().copied().sum()
    }

    fn summary(&self) -> String {
        let exact = self.edits.iter().filter(|edits| edits.total() == 0).count();
        let all = self.all();
        format!(
            "{exact} of {} items without an error; label error rate {:.2} %: {} substitutions, \
             {} deletions, {} insertions in {} labels",
            self.edits.len(),
            100.0 * all.rate(),
            all.substitutions,
            all.deletions,
            all.insertions,
            all.labels
        )
    }
}

struct DecodeReport<'a> {
    alphabet: &'a Alphabet,
    items: &'a [DecodedItem],
    /// Present if the file has labels.
    errors: Option<LabelErrors>,
}

impl DecodeReport<'_> {
    fn text(&self) -> String {
        let mut header = vec!["item", "decoded", "log_prob"];
        if self.errors.is_some() {
            header.extend(["labels", "errors"]);
        }
        let mut rows = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            for (rank, (labels, log_prob)) in item.hypotheses.iter().enumerate() {
                let in_first_row = |text: String| if rank == 0 { text } else { String::new() };
                let mut row = vec![
                    in_first_row(index.to_string()),
                    match item.status {
                        Status::Ok => escaped(&self.alphabet.text(labels)),
                        status => format!("({})", status.name()),
                    },
                    format::log_prob(*log_prob),
                ];
                if let Some(LabelErrors { labels, edits }) = &self.errors {
                    let errors = match edits[index].total() {
                        0 => String::new(),
                        n => n.to_string(),
                    };
                    row.extend([
                        in_first_row(escaped(&self.alphabet.text(&labels[index]))),
                        in_first_row(errors),
                    ]);
                }
                rows.push(row);
            }
        }
        let text = format::table(&header, rows, &[1, 3]);
        match &self.errors {
            Some(errors) => format!("{text}\n{}\n", errors.summary()),
            None => text,
        }
    }

    fn json(&self) -> Value {
        let items = self.items.iter().enumerate().map(|(index, item)| {
            let hypotheses = item.hypotheses.iter().map(|(labels, log_prob)| {
                json!({
                    "labels": labels,
                    "text": self.alphabet.text(labels),
                    "log_prob": format::number(*log_prob),
                })
            });
            let mut value = json!({
                "hypotheses": hypotheses.collect::<Vec<_>>(),
                "status": item.status.name(),
            });
            if let Some(errors) = &self.errors {
                value["errors"] = json!(errors.edits[index].total());
            }
            value
        });
        let mut value = json!({ "items": items.collect::<Vec<_>>() });
        if let Some(errors) = &self.errors {
            let all = errors.all();
            value["label_error_rate"] = format::number(all.rate());
            value["substitutions"] = json!(all.substitutions);
            value["deletions"] = json!(all.deletions);
            value["insertions"] = json!(all.insertions);
            value["labels"] = json!(all.labels);
        }
        value
    }
}
