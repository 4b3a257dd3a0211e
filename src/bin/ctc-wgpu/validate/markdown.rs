//! The verdict as a document, and that as a page.

use ctc_wgpu::conformance::check::Tolerance;
use pulldown_cmark::{Options, Parser, html};

use super::facts::WGPU;
use super::terminal::{HEADER, LEFT, cells, worst};
use super::{Judged, Verdict, verdict};
use crate::format;

pub(super) fn report(found: &Verdict) -> String {
    let Tolerance { loss, grad } = Tolerance::F32;
    let mut text = format!(
        "# ctc-wgpu {}: {}\n\n{}, {} cases, wgpu {WGPU}, {} {}. A loss may be off by {loss:e} of its size, from 1 on, and an \
         element of a gradient by {grad:e}.\n",
        env!("CARGO_PKG_VERSION"),
        found.line(),
        jiff::Timestamp::now().strftime("%F %T UTC"),
        found.extent,
        std::env::consts::OS,
        std::env::consts::ARCH,
    );
    for judged in &found.judged {
        text += &one(judged);
    }
    text
}

/// The report as a page that needs no other file.
pub(super) fn page(found: &Verdict) -> String {
    let markdown = report(found);
    let mut body = String::new();
    html::push_html(
        &mut body,
        Parser::new_ext(&markdown, Options::ENABLE_TABLES),
    );
    let title = format!("ctc-wgpu: {}", found.line());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{}</style>\n<main>\n{body}</main>\n</html>\n",
        include_str!("page.css")
    )
}

fn one(judged: &Judged) -> String {
    let facts = &judged.facts;
    let mut text = format!("\n## {}\n\n", escaped(&facts.line()));
    let rows = match &judged.rows {
        Ok(rows) => rows,
        Err(reason) => return format!("{text}**FAIL**: {}\n", escaped(reason)),
    };
    text += &table(&HEADER, cells(judged), &LEFT);
    if let Some(numerics) = &judged.numerics {
        text += &format!("\nArithmetic: {numerics}.\n");
    }
    let failing: Vec<_> = rows
        .iter()
        .filter(|row| !row.total.failures.is_empty())
        .collect();
    if !failing.is_empty() {
        text += "\n### What fails\n\n";
    }
    for row in failing {
        for (family, tally) in &row.families {
            for failure in &tally.failures {
                text += &format!("- {}, {family}: {}\n", row.variant, escaped(failure));
            }
        }
    }
    text += "\n### By kind of case\n\n";
    let families = rows.iter().flat_map(|row| {
        row.families.iter().map(|(family, tally)| {
            vec![
                row.variant.to_owned(),
                (*family).to_owned(),
                tally.cases.to_string(),
                worst(tally, |worst| worst.grad),
                worst(tally, |worst| worst.loss),
                format::seconds(tally.time),
                verdict(tally).to_owned(),
            ]
        })
    });
    let header = [
        "variant",
        "kind",
        "cases",
        "gradient error",
        "loss error",
        "time",
        "verdict",
    ];
    text += &table(&header, families.collect(), &[0, 1, 6]);
    if !facts.limits.is_empty() {
        text += &format!("\n### The {} adapter\n\n", facts.kind);
        let limits = facts
            .limits
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        text += &table(&["limit", ""], limits.collect(), &[0]);
        text += &format!("\nFeatures: {}.\n", facts.features.join(", "));
    }
    text
}

/// All columns but those at `left` to the right.
fn table(header: &[&str], rows: Vec<Vec<String>>, left: &[usize]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = |column| {
        if left.contains(&column) {
            "---"
        } else {
            "---:"
        }
    };
    let rule: Vec<String> = (0..header.len())
        .map(|column| rule(column).to_owned())
        .collect();
    let rows = rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        line(&cells)
    });
    line(&header) + &line(&rule) + &rows.collect::<String>()
}

/// What a driver or a message says, on one line and without a meaning to Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '&' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
