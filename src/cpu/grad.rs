//! grad: the rows of the class axis, each read once: their statistics, and the gradient; twin of `shaders/grad.wgsl`.

use fearless_simd::{Simd, prelude::*};

use super::index::item_and_frame;
use super::labels::Item;
use super::scaled::{SMALLEST, exp_plain};
use super::stats::{Excess, Stats, Vectors, top_of};
use crate::options::{Input, Options, Status};
use crate::problem::Problem;

/// The rows from `first` on, in the order of the input: as many as there are `stats`, and of the gradient if there is
/// one. Rows of items that have no gradient are 0, as are those past an item's length.
#[inline(always)]
pub(super) fn rows<S: Simd>(
    simd: S,
    problem: &Problem<'_>,
    options: &Options,
    items: &[Item],
    first: usize,
    stats: &mut [Stats],
    mut grad: Option<&mut [f32]>,
) {
    let classes = problem.shape().classes;
    for (index, stats) in stats.iter_mut().enumerate() {
        let row = first + index;
        let (n, t) = item_and_frame(problem.shape(), row);
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
        let input = &problem.values[row * classes..(row + 1) * classes];
        let live = item.status == Status::Ok && item.scale != 0.0;
        if !live && let Some(out) = out.take() {
            out.fill(0.0);
        }
        // One copy of the loops for each convention, with nothing to choose inside.
        *stats = match options.input {
            Input::Logits => logits(simd, input, item.scale, out.as_deref_mut()),
            Input::LogProbs => log_probs(simd, input, item.scale, out.as_deref_mut()),
            Input::LogProbsExact => log_probs(simd, input, 0.0, out.as_deref_mut()),
            Input::Probs { epsilon } => probs(simd, input, epsilon, item.scale, out.as_deref_mut()),
        };
        let Some(out) = out else { continue };
        match options.input {
            Input::Probs { epsilon } => occupy(item, t, out, |class| {
                let q = input[class] + epsilon;
                if q < SMALLEST { 0.0 } else { item.scale / q }
            }),
            _ => occupy(item, t, out, |_| item.scale),
        }
    }
}

/// Takes the occupancy of each class, times `factor`, off the gradient of frame `t`.
#[inline(always)]
fn occupy(item: &Item, t: usize, out: &mut [f32], factor: impl Fn(usize) -> f32) {
    let width = item.classes.len();
    let occupancies = &item.occupancies[t * width..(t + 1) * width];
    for (class, occupancy) in item.classes.iter().zip(occupancies) {
        let class = *class as usize;
        out[class] -= occupancy * factor(class);
    }
}

/// The softmax, times `scale`.
#[inline(always)]
fn logits<S: Simd>(simd: S, input: &[f32], scale: f32, out: Option<&mut [f32]>) -> Stats {
    let row = Vectors::new(input, f32::NEG_INFINITY);
    let top = top_of(
        simd,
        &row,
        #[inline(always)]
        |x| x,
        f32::NEG_INFINITY,
        f32::MIN,
    );
    let mut excess = Excess::none(simd);
    let Some(out) = out else {
        row.each(
            simd,
            #[inline(always)]
            |x| _ = excess.add(exp_plain(x - top), x, top),
        );
        let excess = excess.sum();
        return Stats { top, excess };
    };
    row.map(
        simd,
        out,
        #[inline(always)]
        |x| excess.add(exp_plain(x - top), x, top),
    );
    let excess = excess.sum();
    let factor = scale / (1.0 + excess);
    for out in out {
        *out *= factor;
    }
    Stats { top, excess }
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
            |x| exp_plain(x.min(88.0)) * scale,
        ),
        None => {}
    }
    Stats { top, excess: 0.0 }
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
        |x| x + epsilon,
        0.0,
        SMALLEST,
    );
    let mut excess = Excess::none(simd);
    row.each(
        simd,
        #[inline(always)]
        |x| {
            let score = x + epsilon;
            excess.add(score / top, score, top);
        },
    );
    let excess = excess.sum();
    if let Some(out) = out {
        out.fill(scale / (top * (1.0 + excess)));
    }
    Stats { top, excess }
}
