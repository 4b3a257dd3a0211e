//! grad: the gradient of every frame; twin of `shaders/grad.wgsl`.

use super::chain::NO_LABEL;
use super::emit::{Emissions, fold};
use super::labels::Item;
use super::scaled::{SMALLEST, below, exp_plain, larger, power};
use super::states::Row;
use super::sweep::Lattice;
use crate::options::{Input, Options, Status};
use crate::problem::Problem;

/// Writes the rows of item `n`, those past its length too.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "the stage reads what all the stages before it made"
)]
pub(super) fn grad(
    problem: &Problem<'_>,
    options: &Options,
    item: &Item,
    n: usize,
    status: Status,
    emissions: &Emissions,
    lattice: &Lattice,
    weights: &mut Vec<f32>,
    rows: &mut [&mut [f32]],
) {
    let (counting, past) = rows.split_at_mut(item.frames);
    for row in past {
        row.fill(0.0);
    }
    if status != Status::Ok || item.scale == 0.0 {
        let nothing = if status == Status::NotFinite && item.scale != 0.0 {
            f32::NAN
        } else {
            0.0
        };
        for row in counting {
            row.fill(nothing);
        }
        return;
    }
    for (t, row) in counting.iter_mut().enumerate() {
        let start = problem.shape().row(n, t);
        let input = &problem.values[start..start + row.len()];
        let (top, excess) = emissions.stats[t];
        let factor = if matches!(options.input, Input::Probs { .. }) {
            top
        } else {
            1.0
        };
        let norm = (top, 1.0 / (factor * (1.0 + excess)));
        for (out, x) in row.iter_mut().zip(input) {
            *out = item.scale * derivative(options.input, *x, norm, 0.0);
        }
        let blank = problem.blank;
        occupancies(item, &lattice.row(t), blank, weights, |class, occupancy| {
            row[class] = item.scale * derivative(options.input, input[class], norm, occupancy);
        });
    }
}

/// Calls `take` with each class of the labels, and with the blank, and its occupancy. They sum to 1.
#[inline(always)]
fn occupancies(
    item: &Item,
    row: &Row<'_>,
    blank: usize,
    weights: &mut Vec<f32>,
    mut take: impl FnMut(usize, f32),
) {
    let labels = item.labels();
    let (label_m, label_e) = (&row.label_m[1..=labels], &row.label_e[1..=labels]);
    let (blank_m, blank_e) = (&row.blank_m[..=labels], &row.blank_e[..=labels]);
    let lowest = f32::MIN;
    let top = larger(
        fold(blank_e, lowest, larger, |e| e),
        fold(label_e, lowest, larger, |e| e),
    );
    let weigh = |(m, e): (&f32, &f32)| m * power(e - top);
    weights.clear();
    weights.extend(blank_m.iter().zip(blank_e).map(weigh));
    let mut of_blank = fold(weights, 0.0, |a, b| a + b, |w| w);
    weights.clear();
    weights.extend(label_m.iter().zip(label_e).map(weigh));
    let total = of_blank + fold(weights, 0.0, |a, b| a + b, |w| w);
    let inverse = 1.0 / total;
    for i in 0..labels {
        let class = item.classes[i] as usize;
        let (mut next, is_first) = item.links[i];
        if !is_first {
            continue;
        }
        let mut sum = weights[i];
        while next != NO_LABEL {
            sum += weights[next as usize];
            next = item.links[next as usize].0;
        }
        if class == blank {
            // A blank that stands among the labels is the blank's class still.
            of_blank += sum;
        } else {
            take(class, sum * inverse);
        }
    }
    take(blank, of_blank * inverse);
}

/// The derivative of the loss with respect to one entry of the input, for a class of this occupancy. The frame's maximum
/// is `top`; `inverse` is what its entries, relative to that, are multiplied with.
#[inline(always)]
fn derivative(input: Input, x: f32, (top, inverse): (f32, f32), occupancy: f32) -> f32 {
    match input {
        Input::Logits => {
            let p = if x.is_finite() {
                exp_plain(below(x, top)) * inverse
            } else {
                0.0
            };
            p - occupancy
        }
        Input::LogProbs => {
            let p = if x.is_finite() { exp_plain(x) } else { 0.0 };
            p - occupancy
        }
        Input::LogProbsExact => 0.0 - occupancy,
        Input::Probs { epsilon } => {
            let q = x + epsilon;
            if q < SMALLEST {
                inverse
            } else {
                inverse - occupancy / q
            }
        }
    }
}
