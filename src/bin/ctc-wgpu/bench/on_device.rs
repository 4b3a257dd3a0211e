//! A batch whose buffers lie on a device, timed in every way that was requested.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ctc_wgpu::{Error, Prepared};
use serde_json::{Value, json};
use wgpu::CommandEncoder;

use super::measure::Times;
use super::resident::Gpu;
use super::stages::{Stages, Way};
use super::stamps::Stamps;
use super::variant::Variant;
use crate::format;

/// What to time beside single steps, and by which kernels.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras {
    /// The way to time each stage.
    pub(crate) stages: Option<Way>,
    /// How many steps to queue before waiting.
    pub(crate) queued: Option<NonZeroU32>,
    pub(crate) variant: Variant,
}

/// Runs `work` once: the device's time with `stamps`, else from encoding to the end of waiting.
pub(crate) fn time(
    gpu: &Gpu,
    stamps: Option<&Stamps>,
    work: impl Fn(&mut CommandEncoder) -> Result<(), Error>,
) -> Result<Duration, Error> {
    match stamps {
        Some(stamps) => stamps.time(gpu, work),
        None => {
            let start = Instant::now();
            gpu.run(work).map(|()| start.elapsed())
        }
    }
}

/// The times of one batch.
pub(crate) struct Clocks {
    /// From the call to the answer; on a device from encoding to the end of waiting.
    pub(crate) wall: Times,
    /// By the device's timestamps.
    pub(crate) stamped: Option<Times>,
    /// The time per step of so many that were queued.
    pub(crate) queued: Option<(NonZeroU32, Times)>,
    pub(crate) stages: Option<Stages>,
}

impl Clocks {
    pub(crate) fn host(wall: Times) -> Self {
        Self {
            wall,
            stamped: None,
            queued: None,
            stages: None,
        }
    }

    /// `encode` records a step as a caller would, bind groups included.
    pub(crate) fn take(
        gpu: &Gpu,
        stamps: Option<&Stamps>,
        extras: Extras,
        prepared: &Prepared,
        encode: impl Fn(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let wall = Times::take(|| time(gpu, None, &encode))?;
        let stamped = stamps.map(|stamps| Times::take(|| time(gpu, Some(stamps), &encode)));
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
        let stages = extras.stages.map(|way| Stages::take(gpu, prepared, way));
        Ok(Self {
            wall,
            stamped: stamped.transpose()?,
            queued: extras.queued.map(queue).transpose()?,
            stages: stages.transpose()?,
        })
    }

    /// The times that count.
    pub(crate) fn times(&self) -> &Times {
        self.stamped.as_ref().unwrap_or(&self.wall)
    }

    pub(crate) fn timed_by(&self) -> &'static str {
        match self.stamped {
            Some(_) => "timestamps",
            None => "wall",
        }
    }

    /// Adds all times to the object of a batch.
    pub(crate) fn json(&self, object: &mut Value) {
        let times = self.times();
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
