//! `ctc-wgpu align`: where in time each label stands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ctc_wgpu::decode::{self, Alignment};
use ctc_wgpu::{Ctc, Status};
use serde_json::{Value, json};

use crate::alphabet::{Alphabet, AlphabetArgs};
use crate::args::InputArgs;
use crate::fault::Fault;
use crate::format::{self, Outcome};
use crate::loss::Accepted;
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

    /// What is printed
    #[arg(long, value_enum, default_value = "table")]
    format: FormatArg,

    /// Print one JSON object, with each path and its probabilities
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// With ctm and textgrid: how long a frame is
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
    /// A line a label
    Table,
    /// NIST's format for recognisers
    Ctm,
    /// Praat's
    Textgrid,
}

pub(crate) fn run(args: &AlignArgs) -> Result<Outcome, Fault> {
    if !(args.frame.is_finite() && args.frame > 0.0) {
        let reason = format!("--frame {}: a length of time is needed", args.frame);
        return Err(Fault::Usage(reason));
    }
    let accepted = Accepted::unlabelled(&args.input, |file| args.input.options(file))?;
    if !args.star {
        accepted.problem()?;
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
        .filter(|(n, _)| args.item.is_none_or(|item| item == *n));
    let alignments: Vec<(usize, &Alignment)> = wanted.collect();
    let mut text = match args.format {
        _ if args.json => format!("{}\n", all_json(&alignments, &alphabet)),
        FormatArg::Table => human(&alignments, &alphabet),
        FormatArg::Ctm => timing::ctm(&alignments, &alphabet, args.frame),
        FormatArg::Textgrid => timing::text_grid(&alignments, &alphabet, args.frame),
    };
    if let (Some(path), [(item, alignment)]) = (&args.plot, &alignments[..]) {
        let occupancies = Ctc::cpu()
            .occupancies(&accepted.file.batch(), &accepted.options)
            .map_err(fault)?;
        plot::alignment(
            path,
            &accepted,
            &alphabet,
            *item,
            alignment,
            &occupancies.values,
        )?;
        if args.format == FormatArg::Table && !args.json {
            text += &format!("\ndrawn to {}\n", path.display());
        }
    }
    Ok(Outcome { text, passed: true })
}

fn human(alignments: &[(usize, &Alignment)], alphabet: &Alphabet) -> String {
    let told = alignments.iter().map(|(item, alignment)| {
        if alignment.status != Status::Ok {
            return format!("item {item}: {}\n", format::status_name(alignment.status));
        }
        let labels: Vec<u32> = alignment.spans.iter().map(|span| span.label).collect();
        let score = format::loss(alignment.score);
        let head = format!(
            "item {item}: {}, −ln p(path) {score}\n",
            alphabet.text(&labels)
        );
        let row = |span: &decode::Span| {
            vec![
                alphabet.symbol(span.label).to_owned(),
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

fn all_json(alignments: &[(usize, &Alignment)], alphabet: &Alphabet) -> Value {
    let items = alignments.iter().map(|(item, alignment)| {
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
            "status": format::status_name(alignment.status),
            "score": format::number(alignment.score),
            "spans": spans.collect::<Vec<_>>(),
            "path": alignment.path.iter().copied().map(class).collect::<Vec<_>>(),
            "log_probs": alignment.log_probs,
        })
    });
    json!({ "items": items.collect::<Vec<_>>() })
}
