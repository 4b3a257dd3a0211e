//! The figures as a table and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use ctc_wgpu::{Backend, Task};
use serde_json::{Value, json};

use super::bandwidth::Bandwidth;
use super::first_use::Twice;
use super::inputs::name;
use super::measure::Figures;
use super::stages::{self, Stages};
use super::subject::Subject;
use super::variant::Variant;
use crate::format::{self, Outcome};

/// What became of one batch: its figures, or why it has none.
pub(crate) struct Row {
    pub(crate) shape: [usize; 4],
    pub(crate) result: Result<Figures, String>,
}

pub(crate) struct Report<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) task: Task,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) variant: Variant,
    pub(crate) rows: Vec<Row>,
}

/// The rates at which a batch was answered.
struct Rates {
    nanoseconds_a_frame: f64,
    bytes_a_second: f64,
}

impl Report<'_> {
    pub(crate) fn outcome(&self, as_json: bool) -> Outcome {
        let passed = self.rows.iter().all(|row| row.result.is_ok());
        if as_json {
            let rows = self.rows.iter().map(|row| self.json(row)).collect();
            return Outcome::json(&Value::Array(rows), passed);
        }
        let text = self.human();
        Outcome { text, passed }
    }

    /// The logits are read twice, once for the normaliser of each frame and once for the gradient, which is written once;
    /// the losses alone read them once. Nothing else that moves is counted.
    fn rates(&self, [frames, items, classes, _]: [usize; 4], time: Duration) -> Rates {
        let passes = match self.task {
            Task::LossAndGrad => 3.0,
            _ => 1.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (frames_, logits) = (frames as f64, (frames * items * classes) as f64);
        Rates {
            nanoseconds_a_frame: time.as_secs_f64() * 1e9 / frames_,
            bytes_a_second: passes * logits * 4.0 / time.as_secs_f64(),
        }
    }

    fn human(&self) -> String {
        let what = match self.task {
            Task::LossAndGrad => "loss and gradient",
            _ => "loss",
        };
        let mut text = format::line("backend", &self.subject.name());
        text += &format::line("timed", &format!("{what}, {}", self.clock()));
        text += &format::line("copying", &self.copying());
        if let Subject::Gpu { .. } = self.subject {
            let first_use = "time to the first plan and the first loss on a new device, and to the first loss on a second";
            text += &format::line("first use", first_use);
        }
        text.push('\n');
        let (header, rows) = self.columns();
        text += &format::table(&header, rows, &[0]);
        text += &stages::section(&self.stages());
        for row in &self.rows {
            if let Err(reason) = &row.result {
                let _ = writeln!(text, "\n{}: {reason}", name(row.shape));
            }
        }
        text
    }

    fn clock(&self) -> &'static str {
        match self.subject {
            Subject::Gpu {
                stamps: Some(_), ..
            } => {
                "batch on the device, by its own clock (wall: from encoding to the end of waiting)"
            }
            Subject::Gpu { stamps: None, .. } => {
                "batch on the device, from encoding to the end of waiting"
            }
            Subject::Cpu { .. } => "from call to answer",
        }
    }

    fn copying(&self) -> String {
        let Bandwidth {
            by_command,
            by_kernel,
        } = self.bandwidth;
        let rate = |rate: f64| format!("{:.1} GB/s", rate * 1e-9);
        match by_kernel {
            None => rate(by_command),
            Some(by_kernel) => format!(
                "{} by command, {} by kernel; the larger counts",
                rate(by_command),
                rate(by_kernel)
            ),
        }
    }

    /// The batches whose stages were timed, under their names in two lines.
    fn stages(&self) -> Vec<(String, &Stages)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| {
            let stages = row.result.as_ref().ok()?.clocks.stages.as_ref()?;
            Some((stages::heading(row.shape), stages))
        })
        .collect()
    }

    /// The header and the cells: only the columns for which some batch has a figure. Wall time has one only beside the
    /// device's own.
    fn columns(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let on_gpu = matches!(self.subject, Subject::Gpu { .. });
        let stamped = matches!(
            self.subject,
            Subject::Gpu {
                stamps: Some(_),
                ..
            }
        );
        let has_queued = |row: &Row| {
            let figures = row.result.as_ref();
            figures.is_ok_and(|figures| figures.clocks.queued.is_some())
        };
        let all = [
            ("shape", true),
            ("median", true),
            ("wall", stamped),
            ("queued", self.rows.iter().any(has_queued)),
            ("ns/frame", true),
            ("GB/s", true),
            ("of copying", true),
            ("workspace", true),
            ("first plan", on_gpu),
            ("first loss", on_gpu),
            ("second", on_gpu),
        ];
        let kept = |cells: [String; 11]| {
            let pairs = cells.into_iter().zip(all);
            pairs.filter_map(|(cell, (_, shown))| shown.then_some(cell))
        };
        let header = all.iter().filter(|(_, shown)| *shown);
        let rows = self.rows.iter().map(|row| kept(self.cells(row)).collect());
        (header.map(|(title, _)| *title).collect(), rows.collect())
    }

    fn cells(&self, row: &Row) -> [String; 11] {
        let shape = name(row.shape);
        let Ok(figures) = &row.result else {
            let mut cells = std::array::from_fn(|_| "–".to_owned());
            cells[0] = shape;
            cells[1] = "FAILED".to_owned();
            return cells;
        };
        let clocks = &figures.clocks;
        let median = clocks.times().median();
        let rates = self.rates(row.shape, median);
        let first_use = |time: fn(&Twice) -> Duration| {
            let twice = figures.first_use.as_ref();
            twice.map_or_else(String::new, |twice| format::milliseconds(time(twice)))
        };
        let queued = clocks.queued.as_ref();
        [
            shape,
            format::milliseconds(median),
            format::milliseconds(clocks.wall.median()),
            queued.map_or_else(String::new, |(_, times)| {
                format::milliseconds(times.median())
            }),
            format!("{:.0}", rates.nanoseconds_a_frame),
            format!("{:.2}", rates.bytes_a_second * 1e-9),
            format!(
                "{:.1} %",
                rates.bytes_a_second / self.bandwidth.larger() * 100.0
            ),
            figures
                .workspace_bytes
                .map_or_else(String::new, format::bytes),
            first_use(|twice| twice.first.plan),
            first_use(|twice| twice.first.loss),
            first_use(|twice| twice.second.loss),
        ]
    }

    fn json(&self, row: &Row) -> Value {
        let mut value = subject_json(self.subject);
        value["shape"] = json!(row.shape);
        value["task"] = match self.task {
            Task::LossAndGrad => json!("loss+grad"),
            _ => json!("loss"),
        };
        value["version"] = json!(env!("CARGO_PKG_VERSION"));
        value["copy_gb_per_s"] = json!(self.bandwidth.larger() * 1e-9);
        value["copy_by_command_gb_per_s"] = json!(self.bandwidth.by_command * 1e-9);
        value["copy_by_kernel_gb_per_s"] = json!(self.bandwidth.by_kernel.map(|rate| rate * 1e-9));
        let figures = match &row.result {
            Ok(figures) => figures,
            Err(reason) => {
                value["error"] = json!(reason);
                return value;
            }
        };
        figures.clocks.json(&mut value);
        let rates = self.rates(row.shape, figures.clocks.times().median());
        value["ns_per_frame"] = json!(rates.nanoseconds_a_frame);
        value["gb_per_s"] = json!(rates.bytes_a_second * 1e-9);
        if let Some(twice) = &figures.first_use {
            value["variant"] = json!(self.variant.name());
            value["first_plan_ms"] = format::milliseconds_json(twice.first.plan);
            value["first_loss_ms"] = format::milliseconds_json(twice.first.loss);
            value["second_plan_ms"] = format::milliseconds_json(twice.second.plan);
            value["second_loss_ms"] = format::milliseconds_json(twice.second.loss);
            value["driver_cache"] = json!(twice.driver_cache());
        }
        value["workspace_bytes"] = json!(figures.workspace_bytes);
        value["dispatches"] = json!(figures.dispatches);
        value["mean_loss"] = json!(figures.mean_loss);
        value["grad_l1"] = json!(figures.grad_l1);
        value
    }
}

/// What was timed, the same in every object of the list.
pub(crate) fn subject_json(subject: &Subject) -> Value {
    match subject {
        Subject::Gpu { info, .. } => json!({
            "backend": "gpu",
            "adapter": info.name,
            "api": info.backend.to_string(),
            "software": info.device_type == wgpu::DeviceType::Cpu,
            "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        }),
        Subject::Cpu { ctc, .. } => {
            let (threads, simd) = match ctc.backend() {
                Backend::Cpu { threads, simd } => (Some(threads), Some(simd)),
                _ => (None, None),
            };
            json!({
                "backend": "cpu",
                "adapter": null,
                "driver": null,
                "threads": threads,
                "simd": simd,
            })
        }
    }
}
