//! Every error that the crate returns, except [`UnknownName`](crate::UnknownName). If an item is
//! invalid, the message contains the item, the value and the rule.

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

/// An error of this crate.
///
/// Errors can be cloned and compared. wgpu's errors cannot, so an error contains their text and has
/// no [`source`](std::error::Error::source).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The batch is invalid; nothing was computed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The batch cannot be planned for the device's limits.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A buffer does not fit the plan that it was passed to, as in
    /// [`GpuPlan::encode`](crate::GpuPlan::encode).
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// An item has no valid alignment, and the options select an error for it.
    #[error(
        "item {item}: no valid alignment of its {labels} labels with its {frames} frames: too few frames, or a needed probability is 0 (Impossible::Error is set)"
    )]
    Impossible {
        /// The index of the first such item.
        item: usize,
        /// Its label length.
        labels: usize,
        /// Its logit length.
        frames: usize,
    },
    /// The machine has no GPU adapter that supports compute shaders, or none with the requested
    /// name.
    #[error("no GPU adapter{}", not_found(name.as_deref()))]
    #[non_exhaustive]
    NoAdapter {
        /// The text that the adapter's name must contain, if the caller requested one.
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
    /// The process was forked, and the call cannot run in it: its device belongs to the parent,
    /// another thread was using a GPU during the fork, or no threads could be started; see
    /// [`Ctc`](crate::Ctc).
    #[error("in a forked process: {0}")]
    Forked(&'static str),
    /// A blocking call was made on a GPU in a browser, where no thread may block.
    #[error("a browser cannot block on the GPU: await the `_async` form of the call")]
    Blocking,
    /// The device was lost: unplugged, reset by its driver, or destroyed. Contains wgpu's reason.
    /// Every later call on the device fails too: create another [`Ctc`](crate::Ctc) or device.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The device does not have enough memory. Contains the operation that failed, as in "uploading
    /// a batch".
    #[error("the GPU is out of memory while {0}")]
    OutOfMemory(String),
    /// wgpu reported an error. For valid input this is a bug in this crate or in the driver.
    #[error("GPU error while {during}: {reason}")]
    #[non_exhaustive]
    Gpu {
        /// The operation that failed, as in "compiling kernel `grad`".
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

/// Returns the words that follow "no GPU adapter": the requested name, if there was one, and the
/// remedy.
fn not_found(name: Option<&str>) -> String {
    match name {
        None => " was found: install a GPU driver, or use the CPU backend".to_owned(),
        Some(name) => format!(
            " whose name contains `{name}` was found: request another name, or use the CPU backend"
        ),
    }
}

/// Returns an error for the first item without a valid alignment, if there is one.
pub(crate) fn reject_impossible(
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
