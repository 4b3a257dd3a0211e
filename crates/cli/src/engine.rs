//! Runs a loss on a backend or on the reference, and measures the time.

use std::time::{Duration, Instant};

use ctc_wgpu::{Backend, Batch, BatchShape, Ctc, Error, Options, Status, reference};

use crate::error::CliError;

/// An implementation of the loss: a backend of the library, or the float64 reference.
pub(crate) enum LossEngine {
    Ctc(Box<Ctc>),
    Reference,
}

/// The results of an engine in float64, which holds every float32 exactly.
#[derive(Debug)]
pub(crate) struct EngineOutput {
    pub(crate) loss: Vec<f64>,
    pub(crate) grad: Option<Vec<f64>>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f64>,
}

impl LossEngine {
    /// Returns the engine's name, with the driver of an adapter.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ctc(ctc) => ctc.backend().to_string(),
            Self::Reference => "float64 reference".to_owned(),
        }
    }

    pub(crate) fn is_gpu(&self) -> bool {
        matches!(self, Self::Ctc(ctc) if matches!(ctc.backend(), Backend::Gpu(_)))
    }

    /// Computes once. Returns the results and the elapsed time, without the conversion to float64.
    pub(crate) fn run(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        gradient: bool,
    ) -> Result<(EngineOutput, Duration), Error> {
        let start = Instant::now();
        Ok(match self {
            Self::Ctc(ctc) if gradient => {
                let out = ctc.loss_and_grad(batch, options)?;
                let time = start.elapsed();
                let output = EngineOutput {
                    loss: widened(&out.loss),
                    grad: Some(widened(&out.grad)),
                    status: out.status,
                    reduced: out.reduced.map(f64::from),
                };
                (output, time)
            }
            Self::Ctc(ctc) => {
                let out = ctc.loss(batch, options)?;
                let time = start.elapsed();
                let output = EngineOutput {
                    loss: widened(&out.loss),
                    grad: None,
                    status: out.status,
                    reduced: out.reduced.map(f64::from),
                };
                (output, time)
            }
            Self::Reference => {
                let out = reference::loss_and_grad(batch, options)?;
                let time = start.elapsed();
                let output = EngineOutput {
                    loss: out.loss,
                    grad: gradient.then_some(out.grad),
                    status: out.status,
                    reduced: out.reduced,
                };
                (output, time)
            }
        })
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

impl EngineOutput {
    /// Checks that there are one loss and one status per item and a gradient of the input's shape.
    pub(crate) fn check_sizes(&self, shape: &BatchShape) -> Result<(), String> {
        let grad = self.grad.as_ref().map_or(shape.elements(), Vec::len);
        for (what, got, expected) in [
            ("losses", self.loss.len(), shape.items),
            ("statuses", self.status.len(), shape.items),
            ("gradient elements", grad, shape.elements()),
        ] {
            if got != expected {
                return Err(format!(
                    "internal error: the backend returned {got} {what}: expected {expected}"
                ));
            }
        }
        Ok(())
    }
}

/// The results of an engine and the times of several runs.
pub(crate) struct TimedRuns {
    pub(crate) output: EngineOutput,
    /// The time of the first run, which includes compiling the kernels.
    pub(crate) first: Duration,
    /// The times of the later runs, shortest first.
    pub(crate) more: Vec<Duration>,
}

/// The time after which no further run is started.
const TIME_LIMIT: Duration = Duration::from_secs(10);

impl TimedRuns {
    /// Runs once and then up to `more` times; calls `begin` with the number of each run.
    pub(crate) fn run(
        engine: &LossEngine,
        batch: &Batch<'_>,
        options: &Options,
        gradient: bool,
        more: u32,
        mut begin: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let start = Instant::now();
        begin(0);
        let (output, first) = engine.run(batch, options, gradient)?;
        let mut times = Vec::new();
        for run in 1..=more {
            if start.elapsed() >= TIME_LIMIT {
                break;
            }
            begin(run.into());
            times.push(engine.run(batch, options, gradient)?.1);
        }
        times.sort_unstable();
        Ok(Self {
            output,
            first,
            more: times,
        })
    }

    /// Returns the median of the runs after the first.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.more.get(self.more.len() / 2).copied()
    }

    /// Returns the runs if their results have the right sizes.
    pub(crate) fn checked(self, shape: &BatchShape, engine: &LossEngine) -> Result<Self, CliError> {
        match self.output.check_sizes(shape) {
            Ok(()) => Ok(self),
            Err(reason) => Err(CliError::Compute(format!("{}: {reason}", engine.name()))),
        }
    }
}
