//! The time to the first plan and the first loss of a program: compiling its kernels.

use std::time::{Duration, Instant};

use ctc_wgpu::{Error, Task};

use super::inputs::Inputs;
use super::resident::{Arrays, Gpu, Resident};
use super::variant::Variant;

/// From making a `GpuCtc`, with the batch in the device's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstUse {
    /// To the plan with its pipelines.
    pub(crate) plan: Duration,
    /// To the first loss. Some drivers compile only when a kernel first runs.
    pub(crate) loss: Duration,
}

impl FirstUse {
    /// Runs a batch with a `GpuCtc` of its own, which shares no pipeline with an earlier one.
    pub(crate) fn of<'a>(
        gpu: &'a Gpu,
        inputs: &Inputs,
        task: Task,
        variant: Variant,
    ) -> Result<(Resident<'a>, Self), Error> {
        let arrays = Arrays::new(gpu, inputs, task);
        // What was written is uploaded with the next submission.
        gpu.run(|_| Ok(()))?;
        let start = Instant::now();
        let ctc = variant.ctc(gpu)?;
        let plan = variant.plan(&ctc, inputs, task)?;
        let planned = start.elapsed();
        let resident = Resident::new(gpu, plan, arrays);
        resident.run()?;
        let first = Self {
            plan: planned,
            loss: start.elapsed(),
        };
        Ok((resident, first))
    }
}

/// The first use of a batch's kernels on two devices, one after the other. A driver may keep what it compiled, on disk or
/// for the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Twice {
    pub(crate) first: FirstUse,
    pub(crate) second: FirstUse,
}

impl Twice {
    /// Whether the driver had these kernels already. If it had to compile them, but keeps them from then on, the second
    /// device is ready much sooner than the first.
    pub(crate) fn driver_cache(&self) -> &'static str {
        match self.second.loss.as_secs_f64() < 0.6 * self.first.loss.as_secs_f64() {
            true => "cold",
            false => "hot or absent",
        }
    }
}
