//! Errors of planning a batch for a device.

use super::ParameterError;

/// The reason why a batch cannot be planned: an invalid size or option, a missing feature of the
/// device, or a limit that the batch exceeds however it is split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A size or an option is out of range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A limit that must be 0 or a power of two has another value.
    #[error("DeviceLimits::{limit} = {value}: must be 0 or a power of two")]
    NotPowerOfTwo {
        /// The field of [`DeviceLimits`](crate::DeviceLimits).
        limit: &'static str,
        /// Its value.
        value: u32,
    },
    /// An array would be larger than any plan allows, whatever the device's limits are.
    #[error("{what} would have more than {max} bytes, the largest array of a plan")]
    Array {
        /// A description of the array.
        what: &'static str,
        /// The largest size in bytes.
        max: u64,
    },
    /// The batch would need more dispatches than a plan may have.
    #[error(
        "{items} items need more than the 65,536 dispatches that a plan may have: {}", split(.max_items)
    )]
    Dispatches {
        /// The items of the shape.
        items: usize,
        /// The number of items to plan together instead. If that is still too many, the next error
        /// has a lower number. 0 if not even one item can be planned.
        max_items: usize,
    },
    /// A limit of the device is too low for the batch, or for any plan.
    #[error("the device's {limit} is {has}, but {needs} is required for {what}")]
    Limit {
        /// wgpu's name for the limit.
        limit: &'static str,
        /// The device's limit.
        has: u64,
        /// The required value.
        needs: u64,
        /// The stage or the array that requires it.
        what: &'static str,
    },
    /// The device lacks a feature.
    #[error("the device lacks the feature {feature}, which is required for {what}")]
    Feature {
        /// wgpu's name for the feature.
        feature: &'static str,
        /// The stage or the array that requires it.
        what: &'static str,
    },
}

/// Returns the remedy for [`PlanError::Dispatches`], as the end of its message.
fn split(max_items: &usize) -> String {
    match max_items {
        0 => "one item alone is too long for the device's max_storage_buffer_binding_size".into(),
        max_items => format!("split the batch into parts of at most {max_items} items"),
    }
}
