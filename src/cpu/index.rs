//! Where things lie; twin of `shaders/shared/index.wgsl`.

use super::states::Direction;
use crate::batch::{BatchShape, Layout};

/// Lanes of a vector. Narrower machines make one of several.
pub(super) const LANES: usize = 16;

/// Frames of a block: a sweep keeps the first row of each, and makes the others again.
pub(super) const BLOCK: usize = 4;

/// `n` rounded up to whole vectors.
#[inline(always)]
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Frames that a direction sweeps before the two meet.
#[inline(always)]
pub(super) fn half(direction: Direction, frames: usize) -> usize {
    match direction {
        Direction::Alpha => frames / 2,
        Direction::Beta => frames - frames / 2,
    }
}

/// The frame of a direction's step `k`.
#[inline(always)]
pub(super) fn frame(direction: Direction, frames: usize, k: usize) -> usize {
    match direction {
        Direction::Alpha => k,
        Direction::Beta => frames - 1 - k,
    }
}

/// Item and frame of a row of the class axis.
#[inline(always)]
pub(super) fn item_and_frame(shape: &BatchShape, row: usize) -> (usize, usize) {
    match shape.layout {
        Layout::BatchMajor => (row / shape.frames, row % shape.frames),
        Layout::TimeMajor => (row % shape.items, row / shape.items),
    }
}

/// The first `length` floats of `room` that begin a cache line, `room` being made to have them: a vector that lies
/// across two lines costs two.
pub(super) fn lines(room: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if room.len() < length + LANES {
        room.resize(length + LANES, 0.0);
    }
    let start = room.as_ptr().align_offset(64).min(LANES);
    &mut room[start..start + length]
}

/// What [`lines`] made room for and filled.
#[inline(always)]
pub(super) fn lines_of(room: &[f32]) -> &[f32] {
    &room[room.as_ptr().align_offset(64).min(room.len())..]
}

/// The bytes that an array takes.
pub(super) fn bytes<T>(array: &Vec<T>) -> usize {
    array.capacity() * size_of::<T>()
}
