//! Formats numbers, tables and statuses for the terminal and for JSON.

use std::io::{Write, stderr};
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use ctc_wgpu::{BatchShape, Layout, Status};
use serde_json::{Value, json};

use crate::compare::Deviation;
use ctc_wgpu_npz::escaped;

/// The text that a command prints on stdout, and whether its checks passed.
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) passed: bool,
}

impl Outcome {
    pub(crate) fn json(value: &Value, passed: bool) -> Self {
        let text = format!("{value}\n");
        Self { text, passed }
    }
}

/// Prints a note about a file on stderr, on one line.
pub(crate) fn note(path: &Path, text: &str) {
    let line = escaped(&format!("{}: {text}", path.display()));
    // If stderr is closed, nothing can be reported.
    let _ = writeln!(stderr(), "note: {line}");
}

/// Formats a line of a report: a name in a column of its own, and a text.
pub(crate) fn line(name: &str, text: &str) -> String {
    format!("{name:<9} {text}\n")
}

/// Formats a deviation with two significant digits.
pub(crate) fn small(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.1e}")
    }
}

/// Formats a loss with six significant digits; a float32 has about seven.
pub(crate) fn loss(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let magnitude = value.abs();
    if (1e-4..1e6).contains(&magnitude) {
        let digits = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5];
        let before = digits.iter().filter(|d| magnitude >= **d).count();
        format!("{value:.*}", 6 - before.min(6))
    } else {
        format!("{value:.5e}")
    }
}

/// Formats a log-probability in nats with as many digits as a loss.
pub(crate) fn log_prob(value: f64) -> String {
    loss(value)
}

pub(crate) fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    let digits = match ms {
        ms if ms < 1.0 => 3,
        ms if ms < 10.0 => 2,
        ms if ms < 100.0 => 1,
        _ => 0,
    };
    format!("{ms:.digits$} ms")
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Formats a number of bytes in the largest binary unit that does not exceed it. The limits of
/// adapters are powers of two, or one less.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) if count.is_multiple_of(*size) => format!("{} {unit}", count / size),
        // 2 GiB − 1 is printed as 2.0 GiB.
        Some((size, unit)) => {
            let tenths = (u128::from(count) * 10 + u128::from(*size) / 2) / u128::from(*size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} B"),
    }
}

/// Formats the shape of a batch for a report.
pub(crate) fn shape(shape: &BatchShape, blank: usize, input: &str) -> String {
    let BatchShape {
        items,
        frames,
        classes,
        max_labels,
        ..
    } = *shape;
    let order = match shape.layout {
        Layout::TimeMajor => "[T, N, C]",
        _ => "[N, T, C]",
    };
    let labels = shape.label_layout;
    format!(
        "N={items} T={frames} C={classes} Lmax={max_labels} blank={blank}, {input} {order}, labels {labels}"
    )
}

pub(crate) fn shape_json(shape: &BatchShape, blank: usize, input: &str) -> Value {
    json!({
        "items": shape.items,
        "frames": shape.frames,
        "classes": shape.classes,
        "max_labels": shape.max_labels,
        "blank": blank,
        "input": input,
        "layout": shape.layout.name(),
        "labels": shape.label_layout.name(),
    })
}

/// Formats the number of items with each status other than ok, and the first of these items;
/// returns `None` if all are ok.
pub(crate) fn statuses(status: &[Status]) -> Option<String> {
    let mut kinds: Vec<Status> = status
        .iter()
        .copied()
        .filter(|s| *s != Status::Ok)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let counts = kinds.iter().map(|kind| {
        let items: Vec<usize> = (0..status.len()).filter(|&i| status[i] == *kind).collect();
        let first: Vec<String> = items.iter().take(5).map(ToString::to_string).collect();
        let rest = if items.len() > first.len() {
            ", …"
        } else {
            ""
        };
        let plural = if items.len() == 1 { "item" } else { "items" };
        format!(
            "{} {} ({plural} {}{rest})",
            items.len(),
            kind.name(),
            first.join(", ")
        )
    });
    (!kinds.is_empty()).then(|| counts.collect::<Vec<_>>().join("; "))
}

/// Converts a number to JSON; infinities and NaN, which JSON lacks, become strings.
pub(crate) fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("nan")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    } else {
        json!(value)
    }
}

pub(crate) fn milliseconds_json(time: Duration) -> Value {
    json!(time.as_secs_f64() * 1e3)
}

pub(crate) fn deviation_json(deviation: Deviation, at: Value) -> Value {
    json!({ "worst": number(deviation.worst), "at": at })
}

/// Formats a table: a header, and columns two spaces apart, aligned to the right except those in
/// `left`.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, left: &[usize]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec());
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !left.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}
