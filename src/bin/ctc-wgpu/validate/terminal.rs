//! The verdict as a person reads it on a terminal.

use ctc_wgpu::conformance::check::MaxDeviation;
use ctc_wgpu::conformance::suite::Tally;

use super::{Judged, Verdict, verdict};
use crate::format;

/// Failures of a subject that are shown; a report has all.
const SHOWN: usize = 10;

pub(super) const HEADER: [&str; 7] = [
    "variant",
    "cases",
    "gradient error",
    "loss error",
    "determinism",
    "time",
    "verdict",
];

/// The columns of [`HEADER`] that are words.
pub(super) const LEFT: [usize; 3] = [0, 4, 6];

pub(super) fn report(found: &Verdict) -> String {
    let mut text = String::new();
    for judged in &found.judged {
        text += &one(judged);
        text.push('\n');
    }
    text + &found.line() + "\n"
}

fn one(judged: &Judged) -> String {
    let mut text = format!("{}\n", judged.facts.line());
    if let Some(numerics) = &judged.numerics {
        let arithmetic = numerics.to_string().replace("; ", ";\n            ");
        text += &format!("arithmetic: {arithmetic}\n");
    }
    let rows = match &judged.rows {
        Ok(rows) => rows,
        Err(reason) => return format!("{text}FAIL: {reason}\n"),
    };
    text += &format::table(&HEADER, cells(judged), &LEFT);
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
            "  … and {} more (`--report` has them all)\n",
            failures.len() - SHOWN
        );
    }
    text
}

/// The rows below [`HEADER`].
pub(super) fn cells(judged: &Judged) -> Vec<Vec<String>> {
    let rows = judged.rows.as_ref().map_or(&[][..], Vec::as_slice);
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
                    (_, false) => "OTHER BITS",
                }
                .to_owned(),
                format::seconds(total.time),
                verdict(total).to_owned(),
            ]
        })
        .collect()
}

/// A deviation, if there was one to measure.
pub(super) fn worst(tally: &Tally, of: fn(MaxDeviation) -> f64) -> String {
    let worst = tally.worst.map(|worst| format::small(of(worst)));
    worst.unwrap_or_else(|| "–".to_owned())
}
