//! Every error that the crate returns. Each names the item, the value and the rule that it breaks.

use std::fmt::Display;

use crate::Status;

mod buffer;
mod input;
mod parameter;
mod plan;

pub use buffer::BufferError;
pub use input::InputError;
pub use parameter::ParameterError;
pub use plan::PlanError;

/// What went wrong.
///
/// An error can be cloned and compared. wgpu's errors can be neither, so their text is kept instead
/// of a [`source`](std::error::Error::source).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The batch breaks a rule; nothing was run.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The batch cannot be planned within the device's limits.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A buffer handed to [`GpuPlan::encode`](crate::GpuPlan::encode) does not fit the plan.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// An item has no alignment, and the options ask for an error then.
    #[error(
        "item {item}: no alignment of its {labels} labels fits its {frames} frames (Impossible::Error is set)"
    )]
    Impossible {
        /// The first such item.
        item: usize,
        /// Its label length.
        labels: usize,
        /// Its logit length.
        frames: usize,
    },
    /// The machine has no usable GPU adapter, or none with the requested name.
    #[error("no GPU adapter{}: install a GPU driver, or use the CPU backend", called(name.as_deref()))]
    #[non_exhaustive]
    NoAdapter {
        /// The requested name, if the caller requested one.
        name: Option<String>,
    },
    /// The adapter did not create a device.
    #[error("could not create a device on adapter `{adapter}`: {reason}")]
    #[non_exhaustive]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// wgpu's reason.
        reason: String,
    },
    /// This process was forked, and what the call needs stayed in its parent; see [`Ctc`](crate::Ctc).
    #[error("in a forked process: {0}")]
    Forked(&'static str),
    /// A call that waits for a GPU was made in a browser, which cannot wait.
    #[error("a browser cannot wait for the GPU: await the `_async` form of the call")]
    Blocking,
    /// The device was lost: unplugged, reset by its driver, or destroyed.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The device has no memory left for what was asked.
    #[error("the GPU is out of memory while {0}")]
    OutOfMemory(String),
    /// wgpu refused a call. If the input was right, this is a bug of ours or of the driver.
    #[error("the GPU refused {during}: {reason}")]
    #[non_exhaustive]
    Gpu {
        /// What was being done.
        during: String,
        /// wgpu's reason.
        reason: String,
    },
}

impl Error {
    /// Returns a [`NoAdapter`](Self::NoAdapter) for a requested name, if there was one.
    #[must_use]
    pub fn no_adapter(name: Option<&str>) -> Self {
        let name = name.map(str::to_owned);
        Self::NoAdapter { name }
    }

    /// Returns a [`NoDevice`](Self::NoDevice) for an adapter's name and wgpu's reason.
    #[must_use]
    pub fn no_device(adapter: impl Into<String>, reason: impl Display) -> Self {
        Self::NoDevice {
            adapter: adapter.into(),
            reason: reason.to_string(),
        }
    }

    /// Returns a [`Gpu`](Self::Gpu) for the operation that failed and wgpu's reason.
    #[must_use]
    pub fn gpu(during: impl Into<String>, reason: impl Display) -> Self {
        Self::Gpu {
            during: during.into(),
            reason: reason.to_string(),
        }
    }
}

/// The requested adapter name, as the end of "no GPU adapter".
fn called(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" called `{name}`"))
}

/// The first item without an alignment as an error, where the options ask for one.
pub(crate) fn refuse_impossible(
    status: &[Status],
    labels: impl Fn(usize) -> usize,
    frames: impl Fn(usize) -> usize,
) -> Result<(), Error> {
    match status.iter().position(|s| *s == Status::Impossible) {
        None => Ok(()),
        Some(item) => Err(Error::Impossible {
            item,
            labels: labels(item),
            frames: frames(item),
        }),
    }
}
