//! One batch, checked and timed.

use std::time::{Duration, Instant};

use ctc_wgpu::{Ctc, Error, LossAndGradOutput, LossOutput, Options, Task};

use super::first_use::{FirstUse, Twice};
use super::inputs::Inputs;
use super::on_device::{Clocks, Extras};
use super::resident::{Gpu, Resident};
use super::stamps::Stamps;
use super::subject::Subject;
use super::truth::Truth;

const WARM_UP: Duration = Duration::from_millis(200);
const ENOUGH: Duration = Duration::from_secs(1);
const LEAST_RUNS: usize = 5;
/// Within which those are to be had.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long some runs took, shortest first; never empty.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Runs `step`, which says how long it took, for about a second after a warm-up, and at least five times, unless
    /// that takes too long.
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
                ..LEAST_RUNS => PATIENCE,
                _ => ENOUGH,
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

/// What there is to say of a batch that was answered rightly.
pub(crate) struct Figures {
    pub(crate) clocks: Clocks,
    /// On a device.
    pub(crate) first_use: Option<Twice>,
    pub(crate) workspace_bytes: Option<u64>,
    pub(crate) dispatches: Option<usize>,
    /// These two tell programs that time the same batch whether they compute the same.
    pub(crate) mean_loss: f64,
    pub(crate) grad_l1: Option<f64>,
}

/// Holds an answer against the truth, and only then times it.
pub(crate) fn measure(
    subject: &Subject,
    shape: [usize; 4],
    task: Task,
    extras: Extras,
) -> Result<Figures, String> {
    let inputs = Inputs::new(shape, 1.0);
    let truth = Truth::of(&inputs).map_err(|e| e.to_string())?;
    match subject {
        Subject::Gpu {
            gpu,
            stamps,
            adapter,
            ..
        } => {
            let told = |error: Error| error.to_string();
            // A newly opened device comes first, so that the driver has seen none of the kernels.
            let new = Gpu::open(adapter, wgpu::Features::empty()).map_err(told)?;
            let (_, first) = FirstUse::of(&new, &inputs, task, extras.variant).map_err(told)?;
            drop(new);
            let (resident, second) =
                FirstUse::of(gpu, &inputs, task, extras.variant).map_err(told)?;
            let first_use = Twice { first, second };
            on_gpu(gpu, stamps.as_ref(), &resident, first_use, &truth, extras)
        }
        Subject::Cpu { pool, ctc } => pool.install(|| on_cpu(ctc, &inputs, &truth, task)),
    }
}

fn on_gpu(
    gpu: &Gpu,
    stamps: Option<&Stamps>,
    resident: &Resident<'_>,
    first_use: Twice,
    truth: &Truth,
    extras: Extras,
) -> Result<Figures, String> {
    let told = |error: Error| error.to_string();
    let (loss, grad) = (
        resident.loss().map_err(told)?,
        resident.grad().map_err(told)?,
    );
    truth.check(&loss, grad.as_deref())?;
    let prepared = resident.plan.prepare(&resident.arrays.buffers());
    let prepared = prepared.map_err(told)?;
    let clocks = Clocks::take(gpu, stamps, extras, &prepared, |encoder| {
        resident.encode(encoder)
    });
    Ok(Figures {
        clocks: clocks.map_err(told)?,
        first_use: Some(first_use),
        workspace_bytes: Some(resident.plan.plan().workspace_bytes()),
        dispatches: Some(resident.plan.plan().dispatches()),
        mean_loss: mean(&loss),
        grad_l1: grad.as_deref().map(l1),
    })
}

fn on_cpu(ctc: &Ctc, inputs: &Inputs, truth: &Truth, task: Task) -> Result<Figures, String> {
    let told = |error: Error| error.to_string();
    let (batch, options) = (inputs.batch(), Options::default());
    // Made once, as in a training loop; each call answers into them.
    let (mut both, mut loss) = (LossAndGradOutput::default(), LossOutput::default());
    let mut call = || match task {
        Task::LossAndGrad => ctc.loss_and_grad_into(&batch, &options, &mut both),
        _ => ctc.loss_into(&batch, &options, &mut loss),
    };
    call().map_err(told)?;
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
    Ok(Figures {
        clocks: Clocks::host(wall.map_err(told)?),
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
