//! Times a batch whose buffers are on a device, in every way that was requested.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ctc_wgpu::{Error, Prepared};
use serde_json::{Value, json};
use wgpu::CommandEncoder;

use super::measure::Times;
use super::stages::{StageTiming, Stages};
use super::timestamps::Timestamps;
use super::variant::Variant;
use crate::format;
use ctc_wgpu_bench_support::resident::Gpu;

/// The measurements in addition to single steps, and the kernels to use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MeasureOptions {
    /// How to time each stage, if it is timed.
    pub(crate) stages: Option<StageTiming>,
    /// The number of steps to queue before waiting.
    pub(crate) queued: Option<NonZeroU32>,
    pub(crate) variant: Variant,
}

/// Runs `work` once; returns the device's time if there are `timestamps`, else the wall time from
/// encoding until the work is done.
pub(crate) fn time(
    gpu: &Gpu,
    timestamps: Option<&Timestamps>,
    work: impl Fn(&mut CommandEncoder) -> Result<(), Error>,
) -> Result<Duration, Error> {
    match timestamps {
        Some(timestamps) => timestamps.time(gpu, work),
        None => {
            let start = Instant::now();
            gpu.run(work).map(|()| start.elapsed())
        }
    }
}

/// The times of one batch.
pub(crate) struct BatchTimes {
    /// Wall time: of the call on the CPU; on a device from encoding until the work is done.
    pub(crate) wall: Times,
    /// Device time by timestamps.
    pub(crate) by_timestamps: Option<Times>,
    /// The number of queued steps, and the wall time per step.
    pub(crate) queued: Option<(NonZeroU32, Times)>,
    pub(crate) stages: Option<Stages>,
}

impl BatchTimes {
    pub(crate) fn host(wall: Times) -> Self {
        Self {
            wall,
            by_timestamps: None,
            queued: None,
            stages: None,
        }
    }

    /// Measures the times. `encode` records a step as a caller would, including its bind groups.
    pub(crate) fn take(
        gpu: &Gpu,
        timestamps: Option<&Timestamps>,
        options: MeasureOptions,
        prepared: &Prepared,
        encode: impl Fn(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let wall = Times::take(|| time(gpu, None, &encode))?;
        let by_timestamps =
            timestamps.map(|timestamps| Times::take(|| time(gpu, Some(timestamps), &encode)));
        let queue = |steps: NonZeroU32| {
            let times = Times::take(|| {
                let start = Instant::now();
                for _ in 0..steps.get() {
                    gpu.submit(&encode)?;
                }
                gpu.wait().map(|()| start.elapsed() / steps.get())
            });
            times.map(|times| (steps, times))
        };
        let stages = options.stages.map(|way| Stages::take(gpu, prepared, way));
        Ok(Self {
            wall,
            by_timestamps: by_timestamps.transpose()?,
            queued: options.queued.map(queue).transpose()?,
            stages: stages.transpose()?,
        })
    }

    /// Returns the device times if there are any, else the wall times.
    pub(crate) fn best(&self) -> &Times {
        self.by_timestamps.as_ref().unwrap_or(&self.wall)
    }

    pub(crate) fn timed_by(&self) -> &'static str {
        match self.by_timestamps {
            Some(_) => "timestamps",
            None => "wall",
        }
    }

    /// Adds all times to the JSON object of a batch.
    pub(crate) fn json(&self, object: &mut Value) {
        let times = self.best();
        object["median_ms"] = format::milliseconds_json(times.median());
        object["min_ms"] = format::milliseconds_json(times.min());
        object["runs"] = json!(times.runs());
        object["timed_by"] = json!(self.timed_by());
        object["wall_ms"] = format::milliseconds_json(self.wall.median());
        if let Some((steps, times)) = &self.queued {
            object["queued"] = json!(steps);
            object["queued_ms"] = format::milliseconds_json(times.median());
        }
        if let Some(stages) = &self.stages {
            object["stages_us"] = stages.json();
            object["stages_timed_by"] = json!(stages.timed_by());
        }
    }
}
