//! `ctc-wgpu align`: where in time each label stands.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ctc_wgpu::decode;
use ctc_wgpu::{Ctc, Status};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::fault::{Fault, escaped};
use crate::format::{self, Outcome};
use crate::loss::Accepted;
use crate::output::Output;
use crate::timing::{Aligned, Clock};
use crate::{plot, timing};

#[derive(Debug, Args)]
pub(crate) struct AlignArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    alphabet: AlphabetArgs,

    /// Take a label of -1 for unknown text: any one or more frames, of whatever classes; printed as `*`
    #[arg(long)]
    star: bool,

    /// Only this item, counted from 0 [default: all]
    #[arg(long, value_name = "N")]
    item: Option<usize>,

    /// What is printed; an item without an alignment is a note on stderr with ctm, of which it gets
    /// no row, and with textgrid, of which it gets an empty tier
    #[arg(long, value_enum, default_value = "table")]
    format: FormatArg,

    /// Print one JSON object, with each path and its probabilities
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// With ctm and textgrid: how long a frame is, from 1e-6 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "0.02")]
    frame: f64,

    /// Draw the occupancies over time with the alignment below; needs --item, and does
    /// not go with --star, of which there is no occupancy
    #[arg(
        long,
        value_name = "OUT.svg",
        requires = "item",
        conflicts_with = "star"
    )]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// A line per label
    Table,
    /// NIST's format for recognisers: a label is one word, a space in it is written `\u{20}`, a
    /// space alone `<space>`, and a symbol of no characters `<eps>`
    Ctm,
    /// Praat's; a space alone is `<space>`, and a symbol of no characters `<eps>`
    Textgrid,
}

pub(crate) fn run(args: &AlignArgs) -> Result<Outcome, Fault> {
    let clock = Clock::new(args.frame).ok_or_else(|| {
        let reason = "a length of time is needed, from 1e-6 to 3600 seconds";
        Fault::Usage(format!("--frame {}: {reason}", args.frame))
    })?;
    let batch: &Path = &args.input.file;
    let mut inputs = vec![("the batch", batch)];
    inputs.extend(args.alphabet.file().map(|file| ("the alphabet", file)));
    let plot = args.plot.as_deref();
    let plot = plot.map(|path| Output::create("--plot", path, &inputs));
    let plot = plot.transpose()?;
    let accepted = Accepted::unlabelled(&args.input, |file| args.input.options(file))?;
    if !args.star {
        accepted.checked()?;
    }
    let items = accepted.shape.items;
    if let Some(item) = args.item.filter(|item| *item >= items) {
        let reason = format!("--item {item}: the batch has {items} items, counted from 0");
        return Err(Fault::file(&args.input.file, reason));
    }
    let alphabet = args.alphabet.read(accepted.shape.classes, accepted.blank)?;
    let fault = |error| Fault::library(&args.input.file, error);
    let all = decode::align(&accepted.file.batch(), &accepted.options).map_err(fault)?;
    let wanted = all
        .iter()
        .enumerate()
        .filter(|(n, _)| args.item.is_none_or(|item| item == *n))
        .map(|(n, alignment)| (n, accepted.file.frames(n), alignment));
    let alignments: Vec<Aligned<'_>> = wanted.collect();
    accepted.note_scores_below_0(
        alignments
            .iter()
            .map(|(n, _, found)| (*n, 0.0 - found.log_prob)),
    );
    if !args.json && args.format != FormatArg::Table {
        note_missing(batch, &alignments);
    }
    let mut text = match args.format {
        _ if args.json => format!("{}\n", all_json(&alignments, &alphabet)),
        FormatArg::Table => human(&alignments, &alphabet),
        FormatArg::Ctm => timing::ctm(&alignments, &alphabet, clock),
        FormatArg::Textgrid => {
            timing::text_grid(&alignments, &alphabet, clock).ok_or_else(|| {
                let reason =
                    "no item has a frame, and a TextGrid must have a length: use another --format";
                Fault::file(batch, reason)
            })?
        }
    };
    if let (Some(plot), [(item, _, alignment)]) = (plot, &alignments[..]) {
        let occupancies = Ctc::cpu()
            .occupancies(&accepted.file.batch(), &accepted.options)
            .map_err(fault)?;
        let svg = plot::alignment(&accepted, &alphabet, *item, alignment, &occupancies.values)?;
        let drawn = format!("\ndrawn to {plot}\n");
        plot.write(|file| file.write_all(svg.as_bytes()))?;
        if args.format == FormatArg::Table && !args.json {
            text += &drawn;
        }
    }
    Ok(Outcome { text, passed: true })
}

/// Notes which items have no alignment, for forms that have no place for it.
fn note_missing(batch: &Path, alignments: &[Aligned<'_>]) {
    let missing = alignments
        .iter()
        .filter(|(_, _, alignment)| alignment.status != Status::Ok);
    for (item, _, alignment) in missing {
        let status = alignment.status.name();
        format::note(batch, &format!("item {item} has no alignment: {status}"));
    }
}

fn human(alignments: &[Aligned<'_>], alphabet: &Alphabet) -> String {
    let told = alignments.iter().map(|(item, _, alignment)| {
        if alignment.status != Status::Ok {
            return format!("item {item}: {}\n", alignment.status.name());
        }
        let labels: Vec<u32> = alignment.spans.iter().map(|span| span.label).collect();
        let score = format::loss(0.0 - alignment.log_prob);
        let head = format!(
            "item {item}: {}, −ln p(path) {score}\n",
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
        let header = ["label", "from frame", "up to", "probability"];
        head + &format::table(&header, rows, &[0])
    });
    told.collect::<Vec<_>>().join("\n")
}

/// A class as the file has it.
fn class(class: u32) -> i64 {
    match class {
        u32::MAX => decode::STAR.into(),
        class => class.into(),
    }
}

fn all_json(alignments: &[Aligned<'_>], alphabet: &Alphabet) -> Value {
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
            "score": format::number(0.0 - alignment.log_prob),
            "spans": spans.collect::<Vec<_>>(),
            "path": alignment.path.iter().copied().map(class).collect::<Vec<_>>(),
            "log_probs": alignment.log_probs,
        })
    });
    json!({ "items": items.collect::<Vec<_>>() })
}
