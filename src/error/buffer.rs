//! Errors of the buffers of a plan.

/// The reason why a buffer cannot be used with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// The buffers are for a different task than the plan's.
    #[error("these are the buffers of {got}, but the plan computes {plan}")]
    Task {
        /// The task that the buffers are for.
        got: &'static str,
        /// The plan's task.
        plan: &'static str,
    },
    /// A buffer that the plan needs is missing.
    #[error("buffer `{buffer}` is missing: {why}")]
    Missing {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
        /// Why it is needed.
        why: &'static str,
    },
    /// A range is too small.
    #[error(
        "buffer `{buffer}`: {got} bytes from offset {offset}, but the plan's shape needs {needs}"
    )]
    TooSmall {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
        /// The offset of the range in bytes.
        offset: u64,
        /// The size of the range in bytes.
        got: u64,
        /// The required size of the range in bytes.
        needs: u64,
    },
    /// A range that a kernel binds as a whole is larger than the device's largest binding.
    #[error(
        "buffer `{buffer}`: {got} bytes are bound at once, but the device binds at most {max} (max_storage_buffer_binding_size): bind a smaller range, or use padded labels"
    )]
    TooLarge {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
        /// The size of the range in bytes.
        got: u64,
        /// The device's limit in bytes.
        max: u64,
    },
    /// An offset is not aligned.
    #[error(
        "buffer `{buffer}`: offset {offset} is not a multiple of {alignment} (min_storage_buffer_offset_alignment)"
    )]
    Unaligned {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
        /// The offset of the range in bytes.
        offset: u64,
        /// The device's alignment in bytes.
        alignment: u64,
    },
    /// A buffer lacks a usage flag.
    #[error("buffer `{buffer}` lacks BufferUsages::STORAGE")]
    Usage {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
    },
    /// An output overlaps another range of the same buffer.
    #[error(
        "buffers `{first}` and `{second}` overlap in one wgpu::Buffer: an output needs a range of its own"
    )]
    Overlap {
        /// The name of the field of a buffer that is written.
        first: &'static str,
        /// The name of the field of the other buffer.
        second: &'static str,
    },
    /// A buffer was bound that the plan does not use.
    #[error("buffer `{buffer}` was bound, but {why}")]
    Unexpected {
        /// The name of its field in [`Buffers`](crate::Buffers),
        /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
        buffer: &'static str,
        /// Why the plan does not use it.
        why: &'static str,
    },
}
