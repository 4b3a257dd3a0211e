//! Why a batch cannot be planned for a device.

use super::ParameterError;

/// A limit of the device that no cutting of the batch can keep.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A size or an option is out of range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A limit has a value that no device gives.
    #[error("DeviceLimits::{limit} = {value}: must be 0 or a power of two")]
    NotPowerOfTwo {
        /// The field of [`DeviceLimits`](crate::DeviceLimits).
        limit: &'static str,
        /// Its value.
        value: u32,
    },
    /// An array of the batch has more bytes than 64 bits can address.
    #[error("{what} would have more than 2^62 bytes: no buffer is so large")]
    Array {
        /// The array in words.
        what: &'static str,
    },
    /// The batch is cut into more dispatches than a plan may have.
    #[error(
        "{items} items need more than the 65,536 dispatches that a plan may have: {}", split(.most)
    )]
    Dispatches {
        /// The items of the shape.
        items: usize,
        /// The items to plan together instead; where that is still too many, the error has a lower number; 0 if not even one
        /// item can be planned.
        most: usize,
    },
    /// The device gives less of something than any plan needs.
    #[error("the device's {limit} is {has}, but {what} needs {needs}")]
    Limit {
        /// wgpu's name of the limit.
        limit: &'static str,
        /// What the device gives.
        has: u64,
        /// What is needed.
        needs: u64,
        /// By what.
        what: &'static str,
    },
    /// The device lacks a feature.
    #[error("the device lacks the feature {feature}, which {what} needs")]
    Feature {
        /// wgpu's name of the feature.
        feature: &'static str,
        /// By what it is needed.
        what: &'static str,
    },
}

/// What to do about [`PlanError::Dispatches`].
fn split(most: &usize) -> String {
    match most {
        0 => "one item alone is too long for the device's max_storage_buffer_binding_size".into(),
        most => format!("split the batch into parts of at most {most}"),
    }
}
