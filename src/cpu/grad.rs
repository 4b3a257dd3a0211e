//! grad: the rows of the class axis, each read once: their statistics, and the gradient; twin of `shaders/grad.wgsl`.

use fearless_simd::{Simd, f32x16, prelude::*};

use super::check_labels::Item;
use super::index::item_and_frame;
use super::scaled::{LEAST, MOST, SMALLEST, biased, exp_plain};
use super::softmax_stats::{Excess, Stats, Vectors, top_of};
use crate::batch::CheckedBatch;
use crate::options::{Input, Options, Status};

/// The rows from `first` on, in the order of the input: as many as there are `stats`, and of the gradient if there is
/// one. Rows of items that have no gradient are 0, as are those past an item's length.
#[inline(always)]
pub(super) fn rows<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    items: &[Item],
    first: usize,
    stats: &mut [Stats],
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
        let live = item.status == Status::Ok && item.scale != 0.0;
        if !live && let Some(out) = out.take() {
            out.fill(0.0);
        }
        // An item that was not swept has none.
        let local = item.tops.get(t).copied().unwrap_or(f32::NAN);
        // One copy of the loops for each convention, with nothing to choose inside.
        *stats = match options.input {
            Input::Logits => logits(simd, input, local, item.scale, out.as_deref_mut()),
            Input::LogProbs => log_probs(simd, input, item.scale, out.as_deref_mut()),
            Input::LogProbsExact => log_probs(simd, input, 0.0, out.as_deref_mut()),
            Input::Probs { epsilon } => probs(simd, input, epsilon, item.scale, out.as_deref_mut()),
        };
        let Some(out) = out else { continue };
        match options.input {
            Input::Probs { epsilon } => occupy(item, t, out, |class, occupancy| {
                let q = input[class] + epsilon;
                // The quotient of two small numbers first: neither it nor the product need be small or large.
                let quotient = if q < SMALLEST { 0.0 } else { occupancy / q };
                quotient * item.scale
            }),
            _ => occupy(item, t, out, |_, occupancy| occupancy * item.scale),
        }
    }
}

/// Takes `share` of the occupancy of each class off the gradient of frame `t`.
#[inline(always)]
fn occupy(item: &Item, t: usize, out: &mut [f32], share: impl Fn(usize, f32) -> f32) {
    let width = item.classes.len();
    let occupancies = &item.occupancies[t * width..(t + 1) * width];
    for (class, occupancy) in item.classes.iter().zip(occupancies) {
        let class = *class as usize;
        out[class] -= share(class, *occupancy);
    }
}

/// The softmax, times `scale`. `local` is a score of the row, or NaN.
#[inline(always)]
fn logits<S: Simd>(
    simd: S,
    input: &[f32],
    local: f32,
    scale: f32,
    mut out: Option<&mut [f32]>,
) -> Stats {
    let row = Vectors::new(input, f32::NEG_INFINITY);
    // Nearly always the largest score that the labels need will do, and the row need not be searched for its own.
    let mut stats = shares(simd, &row, local, out.as_deref_mut());
    if stats.top.is_nan() {
        let top = top_of(
            simd,
            &row,
            #[inline(always)]
            |x| x,
            f32::NEG_INFINITY,
            f32::MIN,
        );
        stats = shares(simd, &row, top, out.as_deref_mut());
    }
    if let Some(out) = out {
        let factor = scale / (1.0 + stats.excess);
        for out in out {
            *out *= factor;
        }
    }
    stats
}

/// How far above what its row is relative to a score may lie, for all exponentials to have a sum.
const FARTHEST: f32 = 60.0;

/// The exponentials of a row relative to `top`; NaN for a top that is none of its scores or far below another.
#[inline(always)]
fn shares<S: Simd>(simd: S, row: &Vectors<'_>, top: f32, out: Option<&mut [f32]>) -> Stats {
    let mut excess = Excess::none(simd);
    let mut near = f32x16::splat(simd, 0.0).simd_eq(0.0);
    match out {
        Some(out) => row.map(
            simd,
            out,
            #[inline(always)]
            |x| {
                let d = x - top;
                near &= d.simd_le(FARTHEST);
                excess.add(exp_plain(d), x, top)
            },
        ),
        None => row.each(
            simd,
            #[inline(always)]
            |x| {
                let d = x - top;
                near &= d.simd_le(FARTHEST);
                excess.add(exp_plain(d), x, top);
            },
        ),
    }
    let excess = excess.sum();
    // Nothing but −inf has no tie.
    let fits = near.all_true() && excess >= 0.0;
    Stats {
        top: if fits { top } else { f32::NAN },
        excess,
    }
}

/// The probabilities, times `scale`: nothing is divided by.
#[inline(always)]
fn log_probs<S: Simd>(simd: S, input: &[f32], scale: f32, out: Option<&mut [f32]>) -> Stats {
    let row = Vectors::new(input, f32::NEG_INFINITY);
    let top = top_of(
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
            |x| exp_plain(x.min(MOST)) * scale,
        ),
        None => {}
    }
    let known = top > -LEAST && top <= MOST;
    Stats {
        top: if known { top } else { f32::NAN },
        excess: 0.0,
    }
}

/// What every entry has in its derivative, times `scale`.
#[inline(always)]
fn probs<S: Simd>(
    simd: S,
    input: &[f32],
    epsilon: f32,
    scale: f32,
    out: Option<&mut [f32]>,
) -> Stats {
    let row = Vectors::new(input, -epsilon);
    let top = top_of(
        simd,
        &row,
        #[inline(always)]
        |x| biased(x, epsilon),
        0.0,
        SMALLEST,
    );
    let mut excess = Excess::none(simd);
    row.each(
        simd,
        #[inline(always)]
        |x| {
            let score = biased(x, epsilon);
            excess.add(score / top, score, top);
        },
    );
    let excess = excess.sum();
    if let Some(out) = out {
        out.fill(scale / (top * (1.0 + excess)));
    }
    Stats { top, excess }
}
