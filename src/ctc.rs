//! The front door for arrays on the host: [`Ctc`], on the best adapter or the CPU twin.

use std::fmt;

use crate::error::Error;
use crate::options::{Options, Status};
use crate::problem::Batch;

/// The loss of each item, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LossOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the [`Reduction`](crate::Reduction) asks for; `None` with `Reduction::None`.
    pub reduced: Option<f32>,
}

/// The loss of each item and the gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct CtcOutput {
    /// The loss of each item in nats, `[N]`, not weighted.
    pub loss: Vec<f32>,
    /// The gradient of the reduced loss with respect to the input, in the input's shape and layout.
    pub grad: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
    /// The one number that the [`Reduction`](crate::Reduction) asks for; `None` with `Reduction::None`.
    pub reduced: Option<f32>,
}

/// Where a [`Ctc`] computes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// The WGSL kernels on this adapter.
    Gpu(Box<wgpu::AdapterInfo>),
    /// The CPU twin.
    Cpu {
        /// How many threads share the items.
        threads: usize,
        /// The vector instructions found at run time.
        simd: &'static str,
    },
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(info) => write!(
                f,
                "{} ({}, {} {})",
                info.name, info.backend, info.driver, info.driver_info
            ),
            Self::Cpu { threads, simd } => write!(f, "CPU twin ({threads} threads, {simd})"),
        }
    }
}

/// CTC loss over arrays on the host.
#[derive(Debug)]
pub struct Ctc {
    backend: Backend,
}

impl Ctc {
    /// The best adapter of the machine, or the CPU twin where there is none; [`backend`](Self::backend) says which.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::cpu())
    }

    /// The adapter whose name contains `name`, whatever its case; the best one for an empty name. Never the CPU twin.
    pub fn gpu(name: &str) -> Result<Self, Error> {
        Err(Error::NoAdapter(name.to_owned()))
    }

    /// The CPU twin.
    pub fn cpu() -> Self {
        Self {
            backend: Backend::Cpu {
                threads: 1,
                simd: "none",
            },
        }
    }

    /// Where this computes.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The losses only: about half the work of [`loss_and_grad`](Self::loss_and_grad).
    pub fn loss(&self, batch: &Batch<'_>, options: &Options) -> Result<LossOutput, Error> {
        let _ = (batch, options);
        Ok(LossOutput {
            loss: vec![],
            status: vec![],
            reduced: None,
        })
    }

    /// The losses and the gradient.
    pub fn loss_and_grad(&self, batch: &Batch<'_>, options: &Options) -> Result<CtcOutput, Error> {
        let _ = (batch, options);
        Ok(CtcOutput {
            loss: vec![],
            grad: vec![],
            status: vec![],
            reduced: None,
        })
    }
}

/// All adapters of the machine, the best first.
pub fn adapters() -> Vec<wgpu::Adapter> {
    Vec::new()
}
