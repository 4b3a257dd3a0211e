//! The report as Markdown and as an HTML page.

use ctc_wgpu_conformance::check::Tolerance;
use pulldown_cmark::{Options, Parser, html};

use super::adapter::WGPU;
use super::terminal::{HEADER, LEFT, cells, worst};
use super::{AdapterReport, ValidationReport, result_name};
use crate::format;

pub(super) fn report(report: &ValidationReport) -> String {
    let Tolerance { loss, grad } = Tolerance::F32;
    let mut text = format!(
        "# ctc-wgpu {}: {}\n\n{}, {} suite, wgpu {WGPU}, {} {}. Tolerances: {loss:e} for a loss, \
         relative to max(1, |loss|), and {grad:e} for an element of a gradient.\n",
        env!("CARGO_PKG_VERSION"),
        report.summary(),
        jiff::Timestamp::now().strftime("%F %T UTC"),
        report.size,
        std::env::consts::OS,
        std::env::consts::ARCH,
    );
    for adapter in &report.adapters {
        text += &section(adapter);
    }
    text
}

/// Returns the report as a self-contained HTML page.
pub(super) fn page(validation: &ValidationReport) -> String {
    let markdown = report(validation);
    let mut body = String::new();
    html::push_html(
        &mut body,
        Parser::new_ext(&markdown, Options::ENABLE_TABLES),
    );
    let title = format!("ctc-wgpu: {}", validation.summary());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{}</style>\n<main>\n{body}</main>\n</html>\n",
        include_str!("page.css")
    )
}

fn section(adapter: &AdapterReport) -> String {
    let info = &adapter.info;
    let mut text = format!("\n## {}\n\n", escaped(&info.line()));
    let rows = match &adapter.rows {
        Ok(rows) => rows,
        Err(reason) => return format!("{text}**FAIL**: {}\n", escaped(reason)),
    };
    text += &table(&HEADER, cells(adapter), &LEFT);
    if let Some(numerics) = &adapter.numerics {
        text += &format!("\nArithmetic: {numerics}.\n");
    }
    let failing: Vec<_> = rows
        .iter()
        .filter(|row| !row.total.failures.is_empty())
        .collect();
    if !failing.is_empty() {
        text += "\n### Failures\n\n";
    }
    for row in failing {
        for (family, tally) in &row.families {
            for failure in &tally.failures {
                text += &format!("- {}, {family}: {}\n", row.variant, escaped(failure));
            }
        }
    }
    text += "\n### By family\n\n";
    let families = rows.iter().flat_map(|row| {
        row.families.iter().map(|(family, tally)| {
            vec![
                row.variant.to_owned(),
                (*family).to_owned(),
                tally.cases.to_string(),
                worst(tally, |worst| worst.grad),
                worst(tally, |worst| worst.loss),
                format::seconds(tally.time),
                result_name(tally).to_owned(),
            ]
        })
    });
    let header = [
        "variant",
        "family",
        "cases",
        "gradient error",
        "loss error",
        "time",
        "result",
    ];
    text += &table(&header, families.collect(), &[0, 1, 6]);
    if !info.limits.is_empty() {
        text += &format!("\n### The {} adapter\n\n", info.kind);
        let limits = info
            .limits
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        text += &table(&["limit", ""], limits.collect(), &[0]);
        text += &format!("\nFeatures: {}.\n", info.features.join(", "));
    }
    text
}

/// Formats a table; all columns are aligned to the right except those in `left`.
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

/// Escapes a text from a driver or a message for Markdown and HTML, on one line.
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
