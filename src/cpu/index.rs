//! Where things lie; twin of `shaders/shared/index.wgsl`.

use crate::problem::{Layout, Shape};

/// Lanes of the widest vectors that loops are padded to.
pub(super) const LANES: usize = 16;

/// Frames of the first half, which alpha sweeps in; beta takes the rest, from the end.
#[inline(always)]
pub(super) fn half(frames: usize) -> usize {
    frames / 2
}

/// `n` rounded up to whole vectors.
#[inline(always)]
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// The rows of a gradient, by item and then by frame; no rows where there is no gradient.
pub(super) fn rows_by_item<'a>(grad: &'a mut [f32], shape: &Shape) -> Vec<Vec<&'a mut [f32]>> {
    let mut rows: Vec<_> = (0..shape.items)
        .map(|_| Vec::with_capacity(if grad.is_empty() { 0 } else { shape.frames }))
        .collect();
    for (index, row) in grad.chunks_mut(shape.classes).enumerate() {
        let item = match shape.layout {
            Layout::BatchMajor => index / shape.frames,
            Layout::TimeMajor => index % shape.items,
        };
        rows[item].push(row);
    }
    rows
}
