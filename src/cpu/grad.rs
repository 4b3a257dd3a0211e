//! The softmax statistics and the gradient of each row of the class axis. Both are computed before
//! the next row, so that a second read of a row is from the cache.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::index::item_and_frame;
use super::item::ItemData;
use super::row_vectors::RowVectors;
use super::scaled::{MAX_LOG_PROB, MAX_NATS, MIN_PROB, add_epsilon, exp_f32};
use super::softmax_stats::{RowStats, SumExpM1, row_max};
use crate::batch::CheckedBatch;
use crate::options::{Input, Options, Status};

/// Computes `stats`, and `grad` if it is given, of the rows from row `first` of the input on. The
/// gradient is 0 past an item's length, and for items without a gradient.
#[inline(always)]
pub(super) fn rows<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    items: &[ItemData],
    first: usize,
    stats: &mut [RowStats],
    mut grad: Option<&mut [f32]>,
) {
    let classes = checked.shape().classes;
    for (index, stats) in stats.iter_mut().enumerate() {
        let row = first + index;
        let (n, t) = item_and_frame(checked.shape(), row);
        let item = &items[n];
        let mut out = grad
            .as_mut()
            .map(|grad| &mut grad[index * classes..(index + 1) * classes]);
        if t >= item.frames {
            if let Some(out) = out {
                out.fill(0.0);
            }
            continue;
        }
        let input = &checked.values[row * classes..(row + 1) * classes];
        let has_grad = item.status == Status::Ok && item.scale != 0.0;
        if !has_grad && let Some(out) = out.take() {
            out.fill(0.0);
        }
        // An item that was not swept has no maxima.
        let candidate = item.frame_max.get(t).copied().unwrap_or(f32::NAN);
        // The loops are compiled once per kind of input, so that they contain no branches on it.
        *stats = match options.input {
            Input::Logits => logits(simd, input, candidate, item.scale, out.as_deref_mut()),
            Input::LogProbs => log_probs(simd, input, item.scale, out.as_deref_mut()),
            Input::LogProbsExact => log_probs(simd, input, 0.0, out.as_deref_mut()),
            Input::Probs { epsilon } => probs(simd, input, epsilon, item.scale, out.as_deref_mut()),
        };
        let Some(out) = out else { continue };
        match options.input {
            Input::Probs { epsilon } => subtract_occupancies(item, t, out, |class, occupancy| {
                let q = input[class] + epsilon;
                // Divided first: occupancy · scale could underflow although the result does not.
                let quotient = if q < MIN_PROB { 0.0 } else { occupancy / q };
                quotient * item.scale
            }),
            _ => subtract_occupancies(item, t, out, |_, occupancy| occupancy * item.scale),
        }
    }
}

/// Subtracts `derivative(class, occupancy)` from the gradient of frame `t`, for each class of the
/// item.
#[inline(always)]
fn subtract_occupancies(
    item: &ItemData,
    t: usize,
    out: &mut [f32],
    derivative: impl Fn(usize, f32) -> f32,
) {
    let width = item.classes.len();
    let occupancies = &item.occupancies[t * width..(t + 1) * width];
    for (class, occupancy) in item.classes.iter().zip(occupancies) {
        let class = *class as usize;
        out[class] -= derivative(class, *occupancy);
    }
}

/// Writes the softmax times `scale`. `candidate` is the largest of the scores that the item
/// needs: `f32::MIN` if none is finite, and NaN if the item was not swept.
#[inline(always)]
fn logits<S: Simd>(
    simd: S,
    input: &[f32],
    candidate: f32,
    scale: f32,
    mut out: Option<&mut [f32]>,
) -> RowStats {
    let row = RowVectors::new(input, f32::NEG_INFINITY);
    // The largest score that the labels need is nearly always close enough to the row's maximum,
    // which saves one pass over the row.
    let mut stats = exponentials(simd, &row, candidate, out.as_deref_mut());
    if stats.row_max.is_nan() {
        let max = row_max(
            simd,
            &row,
            #[inline(always)]
            |x| x,
            f32::NEG_INFINITY,
            f32::MIN,
        );
        stats = exponentials(simd, &row, max, out.as_deref_mut());
    }
    if let Some(out) = out {
        let factor = scale / (1.0 + stats.sum_exp_m1);
        for out in out {
            *out *= factor;
        }
    }
    stats
}

/// The exponentials of a row are relative to one of its scores. Others may be at most this far
/// above it, so that their sum does not overflow.
const MAX_ABOVE: f32 = 60.0;

/// Writes the exponentials of a row relative to `base`. The returned `row_max` is NaN if `base` is
/// not one of the scores, or if it is too far below another score; otherwise it is `base`.
#[inline(always)]
fn exponentials<S: Simd>(
    simd: S,
    row: &RowVectors<'_>,
    base: f32,
    out: Option<&mut [f32]>,
) -> RowStats {
    let mut sum = SumExpM1::new(simd);
    let mut near = f32x16::splat(simd, 0.0).simd_eq(0.0);
    match out {
        Some(out) => row.map(
            simd,
            out,
            #[inline(always)]
            |x| {
                let d = x - base;
                near &= d.simd_le(MAX_ABOVE);
                sum.add(exp_f32(d), x, base)
            },
        ),
        None => row.each(
            simd,
            #[inline(always)]
            |x| {
                let d = x - base;
                near &= d.simd_le(MAX_ABOVE);
                sum.add(exp_f32(d), x, base);
            },
        ),
    }
    let sum = sum.total();
    // If all scores are −inf, none of them equals `base`, and the sum is −1.
    let fits = near.all_true() && sum >= 0.0;
    RowStats {
        row_max: if fits { base } else { f32::NAN },
        sum_exp_m1: sum,
    }
}

/// Writes the probabilities times `scale`. Log-probabilities are taken as normalised.
#[inline(always)]
fn log_probs<S: Simd>(simd: S, input: &[f32], scale: f32, out: Option<&mut [f32]>) -> RowStats {
    let row = RowVectors::new(input, f32::NEG_INFINITY);
    let max = row_max(
        simd,
        &row,
        #[inline(always)]
        |x| x,
        f32::NEG_INFINITY,
        f32::MIN,
    );
    match out {
        Some(out) if scale == 0.0 => out.fill(0.0),
        Some(out) => row.map(
            simd,
            out,
            #[inline(always)]
            |x| exp_f32(x.min(MAX_LOG_PROB)) * scale,
        ),
        None => {}
    }
    let valid = max > -MAX_NATS && max <= MAX_LOG_PROB;
    RowStats {
        row_max: if valid { max } else { f32::NAN },
        sum_exp_m1: 0.0,
    }
}

/// Writes the term that the derivatives of all entries share, 1 / Σ(p + ε), times `scale`.
#[inline(always)]
fn probs<S: Simd>(
    simd: S,
    input: &[f32],
    epsilon: f32,
    scale: f32,
    out: Option<&mut [f32]>,
) -> RowStats {
    let row = RowVectors::new(input, -epsilon);
    let max = row_max(
        simd,
        &row,
        #[inline(always)]
        |x| add_epsilon(x, epsilon),
        0.0,
        MIN_PROB,
    );
    let mut sum = SumExpM1::new(simd);
    row.each(
        simd,
        #[inline(always)]
        |x| {
            let score = add_epsilon(x, epsilon);
            sum.add(score / max, score, max);
        },
    );
    let sum = sum.total();
    if let Some(out) = out {
        out.fill(scale / (max * (1.0 + sum)));
    }
    RowStats {
        row_max: max,
        sum_exp_m1: sum,
    }
}
