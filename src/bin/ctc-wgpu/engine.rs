//! The backends and the reference behind one call, and the clock around it.

use std::time::{Duration, Instant};

use ctc_wgpu::{Backend, Batch, BatchShape, Ctc, Error, Options, Status, reference};

use crate::fault::Fault;

/// What computes.
pub(crate) enum Engine {
    Ctc(Box<Ctc>),
    Reference,
}

/// What an engine answers, widened to float64 (exact for float32) so that all are compared alike.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) loss: Vec<f64>,
    pub(crate) grad: Option<Vec<f64>>,
    pub(crate) status: Vec<Status>,
    pub(crate) reduced: Option<f64>,
}

impl Engine {
    /// The engine's name and, of an adapter, its driver.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ctc(ctc) => ctc.backend().to_string(),
            Self::Reference => "float64 reference".to_owned(),
        }
    }

    pub(crate) fn is_gpu(&self) -> bool {
        matches!(self, Self::Ctc(ctc) if matches!(ctc.backend(), Backend::Gpu(_)))
    }

    /// Computes once and says how long that took.
    pub(crate) fn run(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        gradient: bool,
    ) -> Result<(Answer, Duration), Error> {
        let start = Instant::now();
        // The time is taken before the answer is widened, which is no part of the work.
        Ok(match self {
            Self::Ctc(ctc) if gradient => {
                let out = ctc.loss_and_grad(batch, options)?;
                let time = start.elapsed();
                let answer = Answer {
                    loss: widened(&out.loss),
                    grad: Some(widened(&out.grad)),
                    status: out.status,
                    reduced: out.reduced.map(f64::from),
                };
                (answer, time)
            }
            Self::Ctc(ctc) => {
                let out = ctc.loss(batch, options)?;
                let time = start.elapsed();
                let answer = Answer {
                    loss: widened(&out.loss),
                    grad: None,
                    status: out.status,
                    reduced: out.reduced.map(f64::from),
                };
                (answer, time)
            }
            Self::Reference => {
                let out = reference::loss_and_grad(batch, options)?;
                let time = start.elapsed();
                let answer = Answer {
                    loss: out.loss,
                    grad: gradient.then_some(out.grad),
                    status: out.status,
                    reduced: out.reduced,
                };
                (answer, time)
            }
        })
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

impl Answer {
    /// Whether the answer has one loss and one status an item and a gradient of the input's shape; if not, why.
    pub(crate) fn fits(&self, shape: &BatchShape) -> Result<(), String> {
        let grad = self.grad.as_ref().map_or(shape.elements(), Vec::len);
        for (what, got, wanted) in [
            ("losses", self.loss.len(), shape.items),
            ("statuses", self.status.len(), shape.items),
            ("gradient elements", grad, shape.elements()),
        ] {
            if got != wanted {
                return Err(format!(
                    "gave {got} {what}, not {wanted}: a bug in the backend"
                ));
            }
        }
        Ok(())
    }
}

/// What an engine answered to a batch that was run several times.
pub(crate) struct Timed {
    pub(crate) answer: Answer,
    /// The first run, which compiles the kernels.
    pub(crate) first: Duration,
    /// The runs after it, shortest first.
    pub(crate) more: Vec<Duration>,
}

/// After this long no further run is begun.
const PATIENCE: Duration = Duration::from_secs(10);

impl Timed {
    /// Runs once and then up to `more` times; `begin` hears the number of each run.
    pub(crate) fn run(
        engine: &Engine,
        batch: &Batch<'_>,
        options: &Options,
        gradient: bool,
        more: u32,
        mut begin: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let start = Instant::now();
        begin(0);
        let (answer, first) = engine.run(batch, options, gradient)?;
        let mut times = Vec::new();
        for run in 1..=more {
            if start.elapsed() >= PATIENCE {
                break;
            }
            begin(run.into());
            times.push(engine.run(batch, options, gradient)?.1);
        }
        times.sort_unstable();
        Ok(Self {
            answer,
            first,
            more: times,
        })
    }

    /// The median of the runs after the first.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.more.get(self.more.len() / 2).copied()
    }
}

/// Turns an answer of the wrong size into a fault of the computation.
pub(crate) fn checked(timed: Timed, shape: &BatchShape, engine: &Engine) -> Result<Timed, Fault> {
    match timed.answer.fits(shape) {
        Ok(()) => Ok(timed),
        Err(reason) => Err(Fault::Compute(format!("{} {reason}", engine.name()))),
    }
}
