//! The measurements as a table and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use ctc_wgpu::{Backend, Task};
use serde_json::{Value, json};

use super::backend::BenchBackend;
use super::bandwidth::Bandwidth;
use super::first_use::FirstUses;
use super::measure::Measurement;
use super::stages::{self, Stages};
use super::variant::Variant;
use crate::format::{self, Outcome};
use ctc_wgpu_bench_support::inputs::name;

/// The measurement of one batch, or the reason why it failed.
pub(crate) struct BenchRow {
    pub(crate) shape: [usize; 4],
    pub(crate) result: Result<Measurement, String>,
}

pub(crate) struct BenchReport<'a> {
    pub(crate) backend: &'a BenchBackend,
    pub(crate) task: Task,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) variant: Variant,
    pub(crate) rows: Vec<BenchRow>,
}

/// The speed of a batch.
struct Rates {
    nanoseconds_per_frame: f64,
    bytes_per_second: f64,
}

impl BenchReport<'_> {
    pub(crate) fn outcome(&self, as_json: bool) -> Outcome {
        let passed = self.rows.iter().all(|row| row.result.is_ok());
        if as_json {
            let rows = self.rows.iter().map(|row| self.json(row)).collect();
            return Outcome::json(&Value::Array(rows), passed);
        }
        let text = self.text();
        Outcome { text, passed }
    }

    /// Counts only the memory traffic that no implementation can avoid. With the gradient, the
    /// logits are read twice, for the normaliser of each frame and for the gradient, and the
    /// gradient is written once. The losses alone read the logits once.
    fn rates(&self, [frames, items, classes, _]: [usize; 4], time: Duration) -> Rates {
        let passes = match self.task {
            Task::LossAndGrad => 3.0,
            _ => 1.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (frame_count, logits) = (frames as f64, (frames * items * classes) as f64);
        Rates {
            nanoseconds_per_frame: time.as_secs_f64() * 1e9 / frame_count,
            bytes_per_second: passes * logits * 4.0 / time.as_secs_f64(),
        }
    }

    fn text(&self) -> String {
        let what = match self.task {
            Task::LossAndGrad => "loss and gradient",
            _ => "loss",
        };
        let mut text = format::line("backend", &self.backend.name());
        text += &format::line("timed", &format!("{what}, {}", self.clock()));
        text += &format::line("copying", &self.copying());
        if let BenchBackend::Gpu { .. } = self.backend {
            let first_use = "time to the first plan and to the first loss on a new device, and to the first loss on a \
                 second device";
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
        match self.backend {
            BenchBackend::Gpu {
                timestamps: Some(_),
                ..
            } => {
                "batch on the device, by its timestamps (wall: from encoding until the work is done)"
            }
            BenchBackend::Gpu {
                timestamps: None, ..
            } => "batch on the device, from encoding until the work is done",
            BenchBackend::Cpu { .. } => "wall time of a call",
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
                "{} by command, {} by kernel; the larger is used",
                rate(by_command),
                rate(by_kernel)
            ),
        }
    }

    /// Returns the batches whose stages were timed, with their headings.
    fn stages(&self) -> Vec<(String, &Stages)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| {
            let stages = row.result.as_ref().ok()?.times.stages.as_ref()?;
            Some((stages::heading(row.shape), stages))
        })
        .collect()
    }

    /// Returns the header and the cells of the columns that have a value. Wall time has a column
    /// only beside the device time.
    fn columns(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let on_gpu = matches!(self.backend, BenchBackend::Gpu { .. });
        let by_timestamps = matches!(
            self.backend,
            BenchBackend::Gpu {
                timestamps: Some(_),
                ..
            }
        );
        let has_queued = |row: &BenchRow| {
            let figures = row.result.as_ref();
            figures.is_ok_and(|figures| figures.times.queued.is_some())
        };
        let all = [
            ("shape", true),
            ("median", true),
            ("wall", by_timestamps),
            ("queued", self.rows.iter().any(has_queued)),
            ("ns/frame", true),
            ("GB/s", true),
            ("of copying", true),
            ("workspace", true),
            ("first plan", on_gpu),
            ("first loss", on_gpu),
            ("second", on_gpu),
        ];
        let shown = |cells: [String; 11]| {
            let pairs = cells.into_iter().zip(all);
            pairs.filter_map(|(cell, (_, shown))| shown.then_some(cell))
        };
        let header = all.iter().filter(|(_, shown)| *shown);
        let rows = self.rows.iter().map(|row| shown(self.cells(row)).collect());
        (header.map(|(title, _)| *title).collect(), rows.collect())
    }

    fn cells(&self, row: &BenchRow) -> [String; 11] {
        let shape = name(row.shape);
        let Ok(figures) = &row.result else {
            let mut cells = std::array::from_fn(|_| "–".to_owned());
            cells[0] = shape;
            cells[1] = "FAILED".to_owned();
            return cells;
        };
        let times = &figures.times;
        let median = times.best().median();
        let rates = self.rates(row.shape, median);
        let first_use = |time: fn(&FirstUses) -> Duration| {
            let uses = figures.first_use.as_ref();
            uses.map_or_else(String::new, |uses| format::milliseconds(time(uses)))
        };
        let queued = times.queued.as_ref();
        [
            shape,
            format::milliseconds(median),
            format::milliseconds(times.wall.median()),
            queued.map_or_else(String::new, |(_, times)| {
                format::milliseconds(times.median())
            }),
            format!("{:.0}", rates.nanoseconds_per_frame),
            format!("{:.2}", rates.bytes_per_second * 1e-9),
            format!(
                "{:.1} %",
                rates.bytes_per_second / self.bandwidth.larger() * 100.0
            ),
            figures
                .workspace_bytes
                .map_or_else(String::new, format::bytes),
            first_use(|uses| uses.first.plan),
            first_use(|uses| uses.first.loss),
            first_use(|uses| uses.second.loss),
        ]
    }

    fn json(&self, row: &BenchRow) -> Value {
        let mut value = backend_json(self.backend);
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
        figures.times.json(&mut value);
        let rates = self.rates(row.shape, figures.times.best().median());
        value["ns_per_frame"] = json!(rates.nanoseconds_per_frame);
        value["gb_per_s"] = json!(rates.bytes_per_second * 1e-9);
        if let Some(uses) = &figures.first_use {
            value["variant"] = json!(self.variant.name());
            value["first_plan_ms"] = format::milliseconds_json(uses.first.plan);
            value["first_loss_ms"] = format::milliseconds_json(uses.first.loss);
            value["second_plan_ms"] = format::milliseconds_json(uses.second.plan);
            value["second_loss_ms"] = format::milliseconds_json(uses.second.loss);
            value["driver_cache"] = json!(uses.driver_cache());
        }
        value["workspace_bytes"] = json!(figures.workspace_bytes);
        value["dispatches"] = json!(figures.dispatches);
        value["mean_loss"] = json!(figures.mean_loss);
        value["grad_l1"] = json!(figures.grad_l1);
        value
    }
}

/// Describes the backend, for every object of the list.
pub(crate) fn backend_json(backend: &BenchBackend) -> Value {
    match backend {
        BenchBackend::Gpu { info, .. } => json!({
            "backend": "gpu",
            "adapter": info.name,
            "api": info.backend.to_string(),
            "software": info.device_type == wgpu::DeviceType::Cpu,
            "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        }),
        BenchBackend::Cpu { ctc, .. } => {
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
