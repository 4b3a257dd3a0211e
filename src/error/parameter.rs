//! Errors of sizes and options, shared by batches on the host and plans.

/// A size or an option that is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// An axis, or a product of axes, has an unsupported length.
    #[error("{axis} = {value}: must be {rule}")]
    Axis {
        /// The name of the axis, as in `frames T`.
        axis: &'static str,
        /// Its length; for a product that overflows, the largest `usize`.
        value: u64,
        /// The lengths that are allowed.
        rule: &'static str,
    },
    /// The blank is not a valid class.
    #[error("blank {blank} is out of range: {}", class_range(*classes))]
    Blank {
        /// The blank's index.
        blank: usize,
        /// The number of classes.
        classes: usize,
    },
    /// The ε of [`Input::Probs`](crate::Input::Probs) is negative, NaN or infinite.
    #[error("epsilon {0} must be finite and not negative")]
    Epsilon(f32),
}

/// Returns the range of valid classes, as the end of a message.
pub(super) fn class_range(classes: usize) -> String {
    format!(
        "expected 0 to {} for {classes} classes",
        classes.saturating_sub(1)
    )
}
