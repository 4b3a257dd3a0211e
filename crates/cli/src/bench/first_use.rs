//! Measures the time to the first plan and the first loss on a device. It includes compiling the
//! kernels.

use std::time::{Duration, Instant};

use ctc_wgpu::{Error, Task};

use super::variant::Variant;
use ctc_wgpu_bench_support::inputs::Inputs;
use ctc_wgpu_bench_support::resident::{Arrays, Gpu, Resident};

/// The times since the creation of a `GpuCtc` began. The batch was already on the device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstUse {
    /// The time until the plan and its pipelines are ready.
    pub(crate) plan: Duration,
    /// The time until the first loss is ready. Some drivers compile a kernel only when it first
    /// runs.
    pub(crate) loss: Duration,
}

impl FirstUse {
    /// Runs a batch with a new `GpuCtc`, which shares no pipeline with an earlier one.
    pub(crate) fn of<'a>(
        gpu: &'a Gpu,
        inputs: &Inputs,
        task: Task,
        variant: Variant,
    ) -> Result<(Resident<'a>, Self), Error> {
        let arrays = Arrays::new(gpu, inputs, task);
        // Buffer writes are uploaded with the next submission.
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

/// The first uses of a batch's kernels on two devices, one after the other. A driver may cache
/// compiled kernels, on disk or in the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstUses {
    pub(crate) first: FirstUse,
    pub(crate) second: FirstUse,
}

impl FirstUses {
    /// Returns `cold` if the driver compiled the kernels for the first device and reused them for
    /// the second, which was then ready much sooner.
    pub(crate) fn driver_cache(&self) -> &'static str {
        match self.second.loss.as_secs_f64() < 0.6 * self.first.loss.as_secs_f64() {
            true => "cold",
            false => "hot or absent",
        }
    }
}
