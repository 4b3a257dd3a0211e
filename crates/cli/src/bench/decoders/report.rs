//! The measurements of alignment and decoders as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::backend::BenchBackend;
use super::super::batch_times::BatchTimes;
use super::super::report::backend_json;
use super::super::stages::{self, Stages};
use super::{DECODERS, DecoderMeasurement};
use crate::format::{self, Outcome};
use ctc_wgpu_bench_support::inputs::name;

/// The measurement of one decoder at one shape, or the reason why it failed.
pub(super) struct DecoderRow {
    pub(super) shape: [usize; 4],
    pub(super) decoder: &'static str,
    pub(super) result: Result<DecoderMeasurement, String>,
}

pub(super) struct DecoderReport<'a> {
    pub(super) backend: &'a BenchBackend,
    /// Sorted by shape.
    pub(super) rows: Vec<DecoderRow>,
}

impl DecoderReport<'_> {
    pub(super) fn outcome(&self, as_json: bool) -> Outcome {
        let passed = self.rows.iter().all(|row| row.result.is_ok());
        if as_json {
            let objects = self.rows.iter().map(|row| self.json(row)).collect();
            return Outcome::json(&Value::Array(objects), passed);
        }
        let text = match self.backend {
            BenchBackend::Cpu { .. } => self.on_cpu(),
            BenchBackend::Gpu { .. } => self.on_gpu(),
        };
        Outcome { text, passed }
    }

    fn json(&self, row: &DecoderRow) -> Value {
        let mut object = backend_json(self.backend);
        object["shape"] = json!(row.shape);
        object["task"] = json!(row.decoder);
        object["version"] = json!(env!("CARGO_PKG_VERSION"));
        match &row.result {
            Ok(figures) => {
                figures.times.json(&mut object);
                if let Some(times) = &figures.on_cpu {
                    object["cpu_ms"] = format::milliseconds_json(times.median());
                }
                let (labels, log_probs): (Vec<_>, Vec<_>) = figures.results.iter().cloned().unzip();
                object["results"] = json!(labels);
                object["log_probs"] = json!(log_probs);
            }
            Err(reason) => object["error"] = json!(reason),
        }
        object
    }

    /// One row per shape, one column per decoder.
    fn on_cpu(&self) -> String {
        let cell = |row: &DecoderRow| match &row.result {
            Ok(figures) => format::milliseconds(figures.times.best().median()),
            Err(reason) => format!("FAILED: {reason}"),
        };
        let of_shape = |rows: &[DecoderRow]| {
            let shape = rows.first().map(|row| name(row.shape));
            shape.into_iter().chain(rows.iter().map(cell)).collect()
        };
        let header: Vec<&str> = std::iter::once("shape")
            .chain(DECODERS.iter().map(|decoder| decoder.name))
            .collect();
        let mut text = format::line("backend", &self.backend.name());
        text += &format::line("timed", "wall time of a call, median\n");
        let rows = self.rows.chunks(DECODERS.len()).map(of_shape).collect();
        text + &format::table(&header, rows, &[0])
    }

    /// One row per decoder and shape. All beams share one row without times, because beam search
    /// has no kernel.
    fn on_gpu(&self) -> String {
        let clock = match self.backend {
            BenchBackend::Gpu {
                timestamps: Some(_),
                ..
            } => "by the device's timestamps (wall: from encoding until the work is done)",
            _ => "from encoding until the work is done",
        };
        let timed = format!(
            "batch on the device, {clock}; CPU: wall time of a call, on all threads; –: no kernel\n"
        );
        let mut text = format::line("backend", &self.backend.name());
        text += &format::line("timed", &timed);
        let (header, rows) = self.columns();
        text += &format::table(&header, rows, &[0, 1]);
        text += &stages::section(&self.stages());
        for row in &self.rows {
            if let Err(reason) = &row.result {
                let _ = writeln!(text, "\n{}, {}: {reason}", name(row.shape), row.decoder);
            }
        }
        text
    }

    /// Returns the header and the cells of the columns that have a value.
    fn columns(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let any = |has: fn(&BatchTimes) -> bool| {
            let figures = self.rows.iter().filter_map(|row| row.result.as_ref().ok());
            figures.into_iter().any(|figures| has(&figures.times))
        };
        let all = [
            ("shape", true),
            ("task", true),
            ("median", true),
            ("wall", any(|times| times.by_timestamps.is_some())),
            ("queued", any(|times| times.queued.is_some())),
            ("CPU", true),
        ];
        let shown = |cells: [String; 6]| {
            let pairs = cells.into_iter().zip(all);
            let cells = pairs.filter_map(|(cell, (_, shown))| shown.then_some(cell));
            cells.collect()
        };
        let mut rows = Vec::new();
        for of_shape in self.rows.chunk_by(|a, b| a.shape == b.shape) {
            rows.extend(of_shape.iter().map(|row| shown(cells(row))));
            rows.extend(of_shape.first().map(|row| shown(dashes(row.shape, "beam"))));
        }
        let header = all.iter().filter(|(_, shown)| *shown);
        (header.map(|(title, _)| *title).collect(), rows)
    }

    fn stages(&self) -> Vec<(String, &Stages)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| {
            let stages = row.result.as_ref().ok()?.times.stages.as_ref()?;
            let heading = format!("{}\n{}", stages::heading(row.shape), row.decoder);
            Some((heading, stages))
        })
        .collect()
    }
}

fn cells(row: &DecoderRow) -> [String; 6] {
    let mut cells = dashes(row.shape, row.decoder);
    match &row.result {
        Ok(figures) => {
            let times = &figures.times;
            let queued = times.queued.as_ref().map(|(_, times)| times);
            let cpu = figures.on_cpu.as_ref();
            let times = [Some(times.best()), Some(&times.wall), queued, cpu];
            for (cell, times) in cells[2..].iter_mut().zip(times) {
                if let Some(times) = times {
                    *cell = format::milliseconds(times.median());
                }
            }
        }
        Err(_) => cells[2] = "FAILED".to_owned(),
    }
    cells
}

/// Returns the cells of a row without times.
fn dashes(shape: [usize; 4], decoder: &str) -> [String; 6] {
    let mut cells = std::array::from_fn(|_| "–".to_owned());
    cells[0] = name(shape);
    cells[1] = decoder.to_owned();
    cells
}
