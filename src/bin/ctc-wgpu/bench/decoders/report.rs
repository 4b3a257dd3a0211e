//! The figures of alignment and decoders as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::inputs::name;
use super::super::on_device::Clocks;
use super::super::report::subject_json;
use super::super::stages::{self, Stages};
use super::super::subject::Subject;
use super::{DECODERS, Figures};
use crate::format::{self, Outcome};

/// What became of one decoder: its figures, or why it has none.
pub(super) struct Row {
    pub(super) shape: [usize; 4],
    pub(super) decoder: &'static str,
    pub(super) result: Result<Figures, String>,
}

pub(super) struct Report<'a> {
    pub(super) subject: &'a Subject,
    /// All tasks of a shape, then those of the next.
    pub(super) rows: Vec<Row>,
}

impl Report<'_> {
    pub(super) fn outcome(&self, as_json: bool) -> Outcome {
        let passed = self.rows.iter().all(|row| row.result.is_ok());
        if as_json {
            let objects = self.rows.iter().map(|row| self.json(row)).collect();
            return Outcome::json(&Value::Array(objects), passed);
        }
        let text = match self.subject {
            Subject::Cpu { .. } => self.on_cpu(),
            Subject::Gpu { .. } => self.on_gpu(),
        };
        Outcome { text, passed }
    }

    fn json(&self, row: &Row) -> Value {
        let mut object = subject_json(self.subject);
        object["shape"] = json!(row.shape);
        object["task"] = json!(row.decoder);
        object["version"] = json!(env!("CARGO_PKG_VERSION"));
        match &row.result {
            Ok(figures) => {
                figures.clocks.json(&mut object);
                if let Some(times) = &figures.on_cpu {
                    object["cpu_ms"] = format::milliseconds_json(times.median());
                }
                let (read, scores): (Vec<_>, Vec<_>) = figures.answers.iter().cloned().unzip();
                object["answers"] = json!(read);
                object["scores"] = json!(scores);
            }
            Err(reason) => object["error"] = json!(reason),
        }
        object
    }

    /// A row for each shape, a column for each decoder.
    fn on_cpu(&self) -> String {
        let cell = |row: &Row| match &row.result {
            Ok(figures) => format::milliseconds(figures.clocks.times().median()),
            Err(reason) => format!("FAILED: {reason}"),
        };
        let of_shape = |rows: &[Row]| {
            let shape = rows.first().map(|row| name(row.shape));
            shape.into_iter().chain(rows.iter().map(cell)).collect()
        };
        let header: Vec<&str> = std::iter::once("shape")
            .chain(DECODERS.iter().map(|decoder| decoder.name))
            .collect();
        let mut text = format::line("backend", &self.subject.name());
        text += &format::line("timed", "from call to answer, median\n");
        let rows = self.rows.chunks(DECODERS.len()).map(of_shape).collect();
        text + &format::table(&header, rows, &[0])
    }

    /// A row for each decoder of each shape. Beams have none of their own: no adapter has a kernel for them.
    fn on_gpu(&self) -> String {
        let clock = match self.subject {
            Subject::Gpu {
                stamps: Some(_), ..
            } => "by the device's clock (wall: from encoding to the end of waiting)",
            _ => "from encoding to the end of waiting",
        };
        let timed = format!(
            "batch on the device, {clock}; CPU: from call to answer, on all threads; no kernel: –\n"
        );
        let mut text = format::line("backend", &self.subject.name());
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

    /// Wall time has a column only beside the device's own, and queued steps only if they were requested.
    fn columns(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let any = |has: fn(&Clocks) -> bool| {
            let figures = self.rows.iter().filter_map(|row| row.result.as_ref().ok());
            figures.into_iter().any(|figures| has(&figures.clocks))
        };
        let all = [
            ("shape", true),
            ("task", true),
            ("median", true),
            ("wall", any(|clocks| clocks.stamped.is_some())),
            ("queued", any(|clocks| clocks.queued.is_some())),
            ("CPU", true),
        ];
        let kept = |cells: [String; 6]| {
            let pairs = cells.into_iter().zip(all);
            let kept = pairs.filter_map(|(cell, (_, shown))| shown.then_some(cell));
            kept.collect()
        };
        let mut rows = Vec::new();
        for of_shape in self.rows.chunk_by(|a, b| a.shape == b.shape) {
            rows.extend(of_shape.iter().map(|row| kept(cells(row))));
            rows.extend(of_shape.first().map(|row| kept(dashes(row.shape, "beam"))));
        }
        let header = all.iter().filter(|(_, shown)| *shown);
        (header.map(|(title, _)| *title).collect(), rows)
    }

    fn stages(&self) -> Vec<(String, &Stages)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| {
            let stages = row.result.as_ref().ok()?.clocks.stages.as_ref()?;
            let heading = format!("{}\n{}", stages::heading(row.shape), row.decoder);
            Some((heading, stages))
        })
        .collect()
    }
}

fn cells(row: &Row) -> [String; 6] {
    let mut cells = dashes(row.shape, row.decoder);
    match &row.result {
        Ok(figures) => {
            let clocks = &figures.clocks;
            let queued = clocks.queued.as_ref().map(|(_, times)| times);
            let cpu = figures.on_cpu.as_ref();
            let times = [Some(clocks.times()), Some(&clocks.wall), queued, cpu];
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

/// A row without figures.
fn dashes(shape: [usize; 4], decoder: &str) -> [String; 6] {
    let mut cells = std::array::from_fn(|_| "–".to_owned());
    cells[0] = name(shape);
    cells[1] = decoder.to_owned();
    cells
}
