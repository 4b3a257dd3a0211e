//! `ctc-wgpu align`: finds the frames of each label by forced alignment.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ctc_wgpu::decode;
use ctc_wgpu::{Ctc, Status};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::error::CliError;
use crate::format::{self, Outcome};
use crate::loaded_batch::LoadedBatch;
use crate::output::Output;
use crate::timing::{Aligned, Clock};
use crate::{plot, timing};
use ctc_wgpu_npz::escaped;

#[derive(Debug, Args)]
pub(crate) struct AlignArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    alphabet: AlphabetArgs,

    /// Accept label -1 as a wildcard, which matches one or more frames of any classes and is
    /// printed as `*`
    #[arg(verbatim_doc_comment, long)]
    star: bool,

    /// Align only this item, counted from 0 [default: all items]
    #[arg(long, value_name = "N")]
    item: Option<usize>,

    /// The output format
    ///
    /// An item without a valid alignment has a line with its status in the table, no line in
    /// CTM, and an empty tier in a TextGrid; for the last two, a note is printed on stderr.
    #[arg(verbatim_doc_comment, long, value_enum, default_value = "table")]
    format: FormatArg,

    /// Print the results as one JSON object, which also contains the paths and their
    /// log-probabilities
    #[arg(verbatim_doc_comment, long, conflicts_with = "format")]
    json: bool,

    /// With ctm and textgrid: the duration of a frame in seconds, from 1e-6 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "0.02")]
    frame: f64,

    /// Draw the alignment and the occupancies, the posterior probabilities of the classes given
    /// the labels, as SVG; requires --item and excludes --star, since a wildcard has no
    /// occupancy
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "OUT.svg",
        requires = "item",
        conflicts_with = "star"
    )]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// One line per label
    Table,
    /// NIST CTM; a space in a symbol is printed as `\u{20}`, a space alone as `<space>`, an empty
    /// symbol as `<eps>`
    Ctm,
    /// Praat TextGrid; a space alone is printed as `<space>`, an empty symbol as `<eps>`
    Textgrid,
}

pub(crate) fn run(args: &AlignArgs) -> Result<Outcome, CliError> {
    let clock = Clock::new(args.frame).ok_or_else(|| {
        let reason = "the duration must be between 1e-6 and 3600 seconds";
        CliError::Usage(format!("--frame {}: {reason}", args.frame))
    })?;
    let path: &Path = &args.input.file;
    let mut inputs = vec![("the batch", path)];
    inputs.extend(args.alphabet.file().map(|file| ("the alphabet", file)));
    let plot = args.plot.as_deref();
    let plot = plot.map(|path| Output::create("--plot", path, &inputs));
    let plot = plot.transpose()?;
    let batch = LoadedBatch::read_unlabelled(&args.input, |file| args.input.options(file))?;
    if !args.star {
        batch.checked()?;
    }
    let items = batch.shape.items;
    if let Some(item) = args.item.filter(|item| *item >= items) {
        let reason = format!("--item {item}: the batch has {items} items, counted from 0");
        return Err(CliError::file(path, reason));
    }
    let alphabet = args.alphabet.read(batch.shape.classes, batch.blank)?;
    let cli_error = |error| CliError::from_library(path, error);
    let all = decode::align(&batch.file.batch(), &batch.options).map_err(cli_error)?;
    let selected = all
        .iter()
        .enumerate()
        .filter(|(n, _)| args.item.is_none_or(|item| item == *n))
        .map(|(n, alignment)| (n, batch.file.frames(n), alignment));
    let alignments: Vec<Aligned<'_>> = selected.collect();
    let log_probs = alignments
        .iter()
        .map(|(n, _, alignment)| (*n, alignment.log_prob));
    batch.note_positive_log_prob(log_probs);
    if !args.json && args.format != FormatArg::Table {
        note_missing(path, &alignments);
    }
    let mut text = match args.format {
        _ if args.json => format!("{}\n", json(&alignments, &alphabet)),
        FormatArg::Table => table(&alignments, &alphabet),
        FormatArg::Ctm => timing::ctm(&alignments, &alphabet, clock),
        FormatArg::Textgrid => {
            timing::text_grid(&alignments, &alphabet, clock).ok_or_else(|| {
                let reason = "no item has a frame, and a TextGrid cannot be empty: use another \
                              --format";
                CliError::file(path, reason)
            })?
        }
    };
    if let (Some(plot), [(item, _, alignment)]) = (plot, &alignments[..]) {
        let occupancies = Ctc::cpu()
            .occupancies(&batch.file.batch(), &batch.options)
            .map_err(cli_error)?;
        let svg = plot::alignment(&batch, &alphabet, *item, alignment, &occupancies.values)?;
        let written = format!("\nplot written to {plot}\n");
        plot.write(|file| file.write_all(svg.as_bytes()))?;
        if args.format == FormatArg::Table && !args.json {
            text += &written;
        }
    }
    Ok(Outcome { text, passed: true })
}

/// Prints a note for each item without an alignment, for formats that cannot contain its status.
fn note_missing(path: &Path, alignments: &[Aligned<'_>]) {
    let missing = alignments
        .iter()
        .filter(|(_, _, alignment)| alignment.status != Status::Ok);
    for (item, _, alignment) in missing {
        let status = alignment.status.name();
        format::note(path, &format!("item {item} has no alignment: {status}"));
    }
}

fn table(alignments: &[Aligned<'_>], alphabet: &Alphabet) -> String {
    let items = alignments.iter().map(|(item, _, alignment)| {
        if alignment.status != Status::Ok {
            return format!("item {item}: {}\n", alignment.status.name());
        }
        let labels: Vec<u32> = alignment.spans.iter().map(|span| span.label).collect();
        let log_prob = format::log_prob(alignment.log_prob);
        let head = format!(
            "item {item}: {}, log_prob {log_prob}\n",
            escaped(&alphabet.text(&labels))
        );
        let row = |span: &decode::Span| {
            vec![
                alphabet.label(span.label),
                span.frames.start.to_string(),
                span.frames.end.to_string(),
                format!("{:.4}", span.probability),
            ]
        };
        let rows: Vec<_> = alignment.spans.iter().map(row).collect();
        let header = ["label", "first frame", "end frame", "probability"];
        head + &format::table(&header, rows, &[0])
    });
    items.collect::<Vec<_>>().join("\n")
}

/// Returns the label as it is in the file: −1 for a wildcard.
fn class(class: u32) -> i64 {
    match class {
        u32::MAX => decode::STAR.into(),
        class => class.into(),
    }
}

fn json(alignments: &[Aligned<'_>], alphabet: &Alphabet) -> Value {
    let items = alignments.iter().map(|(item, _, alignment)| {
        let spans = alignment.spans.iter().map(|span| {
            json!({
                "label": class(span.label),
                "symbol": alphabet.symbol(span.label),
                "frames": [span.frames.start, span.frames.end],
                "probability": span.probability,
            })
        });
        json!({
            "item": item,
            "status": alignment.status.name(),
            "log_prob": format::number(alignment.log_prob),
            "spans": spans.collect::<Vec<_>>(),
            "path": alignment.path.iter().copied().map(class).collect::<Vec<_>>(),
            "log_probs": alignment.log_probs,
        })
    });
    json!({ "items": items.collect::<Vec<_>>() })
}
