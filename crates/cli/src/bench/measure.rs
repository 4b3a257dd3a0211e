//! Checks and times one batch.

use std::time::{Duration, Instant};

use ctc_wgpu::{Ctc, Error, LossAndGradOutput, LossOutput, Options, Task};

use super::backend::BenchBackend;
use super::batch_times::{BatchTimes, MeasureOptions};
use super::first_use::{FirstUse, FirstUses};
use super::timestamps::Timestamps;
use ctc_wgpu_bench_support::inputs::Inputs;
use ctc_wgpu_bench_support::resident::{Gpu, Resident};
use ctc_wgpu_bench_support::truth::Truth;

const WARM_UP: Duration = Duration::from_millis(200);
const TARGET: Duration = Duration::from_secs(1);
const MIN_RUNS: usize = 5;
/// The time after which no further run is started, even below [`MIN_RUNS`].
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The durations of some runs, shortest first; never empty.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Runs `step`, which returns its duration, for about a second after a warm-up, and at least
    /// [`MIN_RUNS`] times within [`TIME_LIMIT`].
    pub(crate) fn take<E>(mut step: impl FnMut() -> Result<Duration, E>) -> Result<Self, E> {
        let start = Instant::now();
        while start.elapsed() < WARM_UP {
            step()?;
        }
        let start = Instant::now();
        let mut times = Vec::new();
        loop {
            times.push(step()?);
            let enough = match times.len() {
                ..MIN_RUNS => TIME_LIMIT,
                _ => TARGET,
            };
            if start.elapsed() >= enough {
                break;
            }
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn min(&self) -> Duration {
        self.0[0]
    }

    pub(crate) fn runs(&self) -> usize {
        self.0.len()
    }
}

/// The measurement of a batch whose results are right.
pub(crate) struct Measurement {
    pub(crate) times: BatchTimes,
    /// `None` on the CPU.
    pub(crate) first_use: Option<FirstUses>,
    pub(crate) workspace_bytes: Option<u64>,
    pub(crate) dispatches: Option<usize>,
    /// The mean loss and the L1 norm of the gradient, for comparison with other programs that time
    /// the same batch.
    pub(crate) mean_loss: f64,
    pub(crate) grad_l1: Option<f64>,
}

/// Times the batch, and returns an error if its results are wrong.
pub(crate) fn measure(
    backend: &BenchBackend,
    shape: [usize; 4],
    task: Task,
    options: MeasureOptions,
) -> Result<Measurement, String> {
    let inputs = Inputs::new(shape, 1.0);
    let truth = Truth::of(&inputs).map_err(|e| e.to_string())?;
    match backend {
        BenchBackend::Gpu {
            gpu,
            timestamps,
            adapter,
            ..
        } => {
            let message = |error: Error| error.to_string();
            // The first use is measured on a new device, before the driver has compiled a kernel.
            let new = Gpu::open(adapter, wgpu::Features::empty()).map_err(message)?;
            let (_, first) = FirstUse::of(&new, &inputs, task, options.variant).map_err(message)?;
            drop(new);
            let (batch, second) =
                FirstUse::of(gpu, &inputs, task, options.variant).map_err(message)?;
            let first_use = FirstUses { first, second };
            on_gpu(gpu, timestamps.as_ref(), &batch, first_use, &truth, options)
        }
        BenchBackend::Cpu { pool, ctc } => pool.install(|| on_cpu(ctc, &inputs, &truth, task)),
    }
}

fn on_gpu(
    gpu: &Gpu,
    timestamps: Option<&Timestamps>,
    batch: &Resident<'_>,
    first_use: FirstUses,
    truth: &Truth,
    options: MeasureOptions,
) -> Result<Measurement, String> {
    let message = |error: Error| error.to_string();
    let (loss, grad) = (
        batch.loss().map_err(message)?,
        batch.grad().map_err(message)?,
    );
    truth.check(&loss, grad.as_deref())?;
    let prepared = batch.plan.prepare(&batch.arrays.buffers());
    let prepared = prepared.map_err(message)?;
    let times = BatchTimes::take(gpu, timestamps, options, &prepared, |encoder| {
        batch.encode(encoder)
    });
    Ok(Measurement {
        times: times.map_err(message)?,
        first_use: Some(first_use),
        workspace_bytes: Some(batch.plan.plan().workspace_bytes()),
        dispatches: Some(batch.plan.plan().dispatches()),
        mean_loss: mean(&loss),
        grad_l1: grad.as_deref().map(l1),
    })
}

fn on_cpu(ctc: &Ctc, inputs: &Inputs, truth: &Truth, task: Task) -> Result<Measurement, String> {
    let message = |error: Error| error.to_string();
    let (batch, options) = (inputs.batch(), Options::default());
    // Every call reuses these outputs, as a training loop does.
    let (mut both, mut loss) = (LossAndGradOutput::default(), LossOutput::default());
    let mut call = || match task {
        Task::LossAndGrad => ctc.loss_and_grad_into(&batch, &options, &mut both),
        _ => ctc.loss_into(&batch, &options, &mut loss),
    };
    call().map_err(message)?;
    let wall = Times::take(|| {
        let start = Instant::now();
        call()?;
        Ok(start.elapsed())
    });
    let (loss, grad) = match task {
        Task::LossAndGrad => (both.loss, Some(both.grad)),
        _ => (loss.loss, None),
    };
    truth.check(&loss, grad.as_deref())?;
    Ok(Measurement {
        times: BatchTimes::host(wall.map_err(message)?),
        first_use: None,
        workspace_bytes: ctc.cached_bytes(),
        dispatches: None,
        mean_loss: mean(&loss),
        grad_l1: grad.as_deref().map(l1),
    })
}

fn mean(losses: &[f32]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of items")]
    let count = losses.len().max(1) as f64;
    losses.iter().copied().map(f64::from).sum::<f64>() / count
}

fn l1(grad: &[f32]) -> f64 {
    grad.iter().map(|&g| f64::from(g).abs()).sum()
}
