//! What can be wrong with the buffers of a plan.

/// A buffer that does not fit its plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// The plan computes something else.
    #[error("these are the buffers of {got}, but the plan computes {plan}")]
    Task {
        /// What the buffers are for.
        got: &'static str,
        /// What the plan computes.
        plan: &'static str,
    },
    /// A buffer that the plan needs was not given.
    #[error("buffer `{buffer}` is needed: {why}")]
    Missing {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// Which option or shape asks for it.
        why: &'static str,
    },
    /// A range is too small.
    #[error(
        "buffer `{buffer}`: {got} bytes from offset {offset}, but the plan's shape needs {needs}"
    )]
    TooSmall {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The offset given.
        offset: u64,
        /// The bytes from there.
        got: u64,
        /// The bytes needed.
        needs: u64,
    },
    /// A range that is bound as a whole is larger than a binding may be.
    #[error(
        "buffer `{buffer}`: {got} bytes are bound at once, but the device binds {most} (max_storage_buffer_binding_size): say a smaller size, or use padded labels"
    )]
    TooLarge {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The bytes of the range.
        got: u64,
        /// The device's limit.
        most: u64,
    },
    /// An offset is not aligned.
    #[error(
        "buffer `{buffer}`: offset {offset} is not a multiple of {alignment} (min_storage_buffer_offset_alignment)"
    )]
    Unaligned {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// The offset given.
        offset: u64,
        /// The device's alignment.
        alignment: u64,
    },
    /// A buffer was not made for this.
    #[error("buffer `{buffer}` lacks BufferUsages::STORAGE")]
    Usage {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
    },
    /// An output lies over another range of the same buffer.
    #[error("buffers `{first}` and `{second}` overlap in one wgpu::Buffer")]
    Overlap {
        /// A buffer that is written.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// A buffer was given that the plan has no use for.
    #[error("buffer `{buffer}` was given, but {why}")]
    Unexpected {
        /// Its name in [`Buffers`](crate::Buffers).
        buffer: &'static str,
        /// Why it has no use.
        why: &'static str,
    },
}
