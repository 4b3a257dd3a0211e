//! The time to the first plan and the first loss of a program: compiling its kernels.

use std::time::{Duration, Instant};

use ctc_wgpu::{Error, Goal, GpuCtc};

use super::inputs::Inputs;
use super::resident::{Arrays, Gpu, plan};

/// From [`GpuCtc::new`] on a device that was just opened, with the batch in its memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstUse {
    /// To the plan with its pipelines.
    pub(crate) plan: Duration,
    /// To the first loss. Some drivers compile only when a kernel first runs.
    pub(crate) loss: Duration,
}

impl FirstUse {
    /// On a device of its own, so that no pipeline is there yet. The driver may keep compiled kernels nevertheless, on
    /// disk or for the process.
    pub(crate) fn of(adapter: &wgpu::Adapter, inputs: &Inputs, goal: Goal) -> Result<Self, Error> {
        let gpu = Gpu::open(adapter, wgpu::Features::empty())?;
        let arrays = Arrays::new(&gpu, inputs, goal);
        // What was written is uploaded with the next submission.
        gpu.run(|_| Ok(()))?;
        let start = Instant::now();
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue)?;
        let ready = plan(&ctc, inputs, goal)?;
        let planned = start.elapsed();
        gpu.run(|encoder| ready.encode(encoder, &arrays.buffers()))?;
        Ok(Self {
            plan: planned,
            loss: start.elapsed(),
        })
    }
}

/// The first plan of a run, made on two devices one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Twice {
    pub(crate) first: FirstUse,
    pub(crate) again: FirstUse,
}

impl Twice {
    /// Whether the driver had these kernels already. If it had compiled none of them, but keeps them from then on, the
    /// second device is ready much sooner than the first.
    pub(crate) fn driver_cache(&self) -> &'static str {
        match self.again.loss.as_secs_f64() < 0.6 * self.first.loss.as_secs_f64() {
            true => "cold",
            false => "hot or absent",
        }
    }
}
