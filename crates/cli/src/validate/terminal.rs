//! The report as text for a terminal.

use ctc_wgpu_conformance::check::MaxDeviation;
use ctc_wgpu_conformance::suite::Tally;

use super::{AdapterReport, ValidationReport, result_name};
use crate::format;

/// The number of failures per adapter that are printed; a report file contains all.
const SHOWN: usize = 10;

pub(super) const HEADER: [&str; 7] = [
    "variant",
    "cases",
    "gradient error",
    "loss error",
    "determinism",
    "time",
    "result",
];

/// The columns of [`HEADER`] that contain words.
pub(super) const LEFT: [usize; 3] = [0, 4, 6];

pub(super) fn report(report: &ValidationReport) -> String {
    let mut text = String::new();
    for adapter in &report.adapters {
        text += &section(adapter);
        text.push('\n');
    }
    text + &report.summary() + "\n"
}

fn section(adapter: &AdapterReport) -> String {
    let mut text = format!("{}\n", adapter.info.line());
    if let Some(numerics) = &adapter.numerics {
        let arithmetic = numerics.to_string().replace("; ", ";\n            ");
        text += &format!("arithmetic: {arithmetic}\n");
    }
    let rows = match &adapter.rows {
        Ok(rows) => rows,
        Err(reason) => return format!("{text}FAIL: {reason}\n"),
    };
    text += &format::table(&HEADER, cells(adapter), &LEFT);
    let failures: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            row.total
                .failures
                .iter()
                .map(|failure| format!("{}: {failure}", row.variant))
        })
        .collect();
    for failure in failures.iter().take(SHOWN) {
        text += &format!("  {failure}\n");
    }
    if failures.len() > SHOWN {
        text += &format!(
            "  … and {} more (`--report` writes all of them)\n",
            failures.len() - SHOWN
        );
    }
    text
}

/// Returns the rows below [`HEADER`].
pub(super) fn cells(adapter: &AdapterReport) -> Vec<Vec<String>> {
    let rows = adapter.rows.as_ref().map_or(&[][..], Vec::as_slice);
    rows.iter()
        .map(|row| {
            let total = &row.total;
            vec![
                row.variant.to_owned(),
                total.cases.to_string(),
                worst(total, |worst| worst.grad),
                worst(total, |worst| worst.loss),
                match (total.cases, total.same_bits) {
                    (0, _) => "–",
                    (_, true) => "same bits",
                    (_, false) => "DIFFERENT BITS",
                }
                .to_owned(),
                format::seconds(total.time),
                result_name(total).to_owned(),
            ]
        })
        .collect()
}

/// Formats a deviation, or a dash if none was measured.
pub(super) fn worst(tally: &Tally, of: fn(MaxDeviation) -> f64) -> String {
    let worst = tally.worst.map(|worst| format::small(of(worst)));
    worst.unwrap_or_else(|| "–".to_owned())
}
