//! Layout of the arrays in memory, and the order in which the directions visit the frames.

use super::states::Direction;
use crate::batch::{BatchShape, Layout};

/// Lanes of a vector. Machines with narrower registers use several registers for one vector.
pub(super) const LANES: usize = 16;

/// Frames in a block: an inward sweep stores the first row of each block, and the outward sweep
/// recomputes the others.
pub(super) const BLOCK: usize = 4;

/// Rounds `n` up to whole vectors.
#[inline(always)]
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Returns the number of frames from a direction's end of the item to the middle.
#[inline(always)]
pub(super) fn steps_to_middle(direction: Direction, frames: usize) -> usize {
    match direction {
        Direction::Alpha => frames / 2,
        Direction::Beta => frames - frames / 2,
    }
}

/// Returns the frame that a direction reaches in step `k`.
#[inline(always)]
pub(super) fn frame_of_step(direction: Direction, frames: usize, k: usize) -> usize {
    match direction {
        Direction::Alpha => k,
        Direction::Beta => frames - 1 - k,
    }
}

/// Returns the item and the frame of a row of the class axis.
#[inline(always)]
pub(super) fn item_and_frame(shape: &BatchShape, row: usize) -> (usize, usize) {
    match shape.layout {
        Layout::BatchMajor => (row / shape.frames, row % shape.frames),
        Layout::TimeMajor => (row % shape.items, row / shape.items),
    }
}

/// Returns `length` floats of `buffer`, starting at a cache line, and enlarges `buffer` if
/// necessary. Loading a vector that crosses a line costs as much as loading two lines.
pub(super) fn aligned(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length + LANES {
        buffer.resize(length + LANES, 0.0);
    }
    let start = buffer.as_ptr().align_offset(64).min(LANES);
    &mut buffer[start..start + length]
}

/// Returns the floats of a buffer that [`aligned`] returned before.
#[inline(always)]
pub(super) fn aligned_ref(buffer: &[f32]) -> &[f32] {
    &buffer[buffer.as_ptr().align_offset(64).min(buffer.len())..]
}

/// Returns the allocated size of an array in bytes.
pub(super) fn vec_bytes<T>(array: &Vec<T>) -> usize {
    array.capacity() * size_of::<T>()
}
