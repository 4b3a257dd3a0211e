//! emit: the probabilities that an item needs, gathered into compact rows; twin of `shaders/emit.wgsl`.

use super::index::LANES;
use super::labels::Item;
use super::scaled::{
    SCALED_ZERO, Scaled, below, exp_below, exp_plain, exp_scaled, larger, normalised,
};
use crate::options::{Input, Options};
use crate::problem::Problem;

/// The emissions of an item, a row a frame: mantissas and exponents apart, and the blank's first.
#[derive(Debug, Default)]
pub(super) struct Emissions {
    m: Vec<f32>,
    e: Vec<f32>,
    blanks: Vec<Scaled>,
    /// Maximum and 1/Σ of each frame, for grad.
    pub(super) stats: Vec<(f32, f32)>,
    places: usize,
}

impl Emissions {
    #[inline(always)]
    pub(super) fn blank(&self, t: usize) -> Scaled {
        self.blanks[t]
    }

    /// Mantissas and exponents of the labels at frame `t`; those past the last label are 0.
    #[inline(always)]
    pub(super) fn labels(&self, t: usize) -> (&[f32], &[f32]) {
        let row = t * self.places..(t + 1) * self.places;
        (&self.m[row.clone()], &self.e[row])
    }

    fn clear(&mut self, item: &Item) {
        self.places = item.places();
        let room = item.frames * self.places;
        self.m.clear();
        self.m.resize(room, SCALED_ZERO.m);
        self.e.clear();
        self.e.resize(room, SCALED_ZERO.e);
        self.blanks.clear();
        self.stats.clear();
    }
}

const LOWEST: f32 = f32::MIN;
/// A probability is never divided by less than the smallest normal number.
const SMALLEST: f32 = 1.2e-38;

/// Fills `out`; `false` if a frame has no meaning.
#[inline(always)]
pub(super) fn emit(
    problem: &Problem<'_>,
    options: &Options,
    item: &Item,
    n: usize,
    out: &mut Emissions,
) -> bool {
    out.clear(item);
    let mut finite = true;
    for t in 0..item.frames {
        let start = problem.shape().row(n, t);
        let row = &problem.values[start..start + problem.shape().classes];
        let (top, sum, meaning) = match options.input {
            Input::Logits => {
                let top = fold(
                    row,
                    LOWEST,
                    larger,
                    |x| if x.is_finite() { x } else { LOWEST },
                );
                let sum = fold(row, 0.0, add, |x| {
                    if x.is_finite() {
                        exp_plain(below(x, top))
                    } else {
                        0.0
                    }
                });
                (top, sum, all(row, has_meaning))
            }
            Input::Probs { epsilon } => {
                let shifted = |x: f32| x + epsilon;
                let sum = fold(
                    row,
                    0.0,
                    add,
                    |x| if x.is_finite() { shifted(x) } else { 0.0 },
                );
                (
                    LOWEST,
                    sum,
                    all(row, |x| x.is_finite() && shifted(x) >= 0.0),
                )
            }
            Input::LogProbs | Input::LogProbsExact => {
                let sum = fold(row, 0.0, add, |x| if x.is_finite() { 1.0 } else { 0.0 });
                (LOWEST, sum, all(row, has_meaning))
            }
        };
        finite &= meaning && sum != 0.0;
        let inverse = 1.0 / larger(sum, SMALLEST);
        out.stats.push((top, inverse));
        out.blanks
            .push(emission(options.input, row[problem.blank], top, inverse));
        let places = t * out.places..(t + 1) * out.places;
        let (m, e) = (&mut out.m[places.clone()], &mut out.e[places]);
        for (i, &class) in item.classes.iter().enumerate() {
            let y = emission(options.input, row[class as usize], top, inverse);
            m[i] = y.m;
            e[i] = y.e;
        }
    }
    finite
}

/// −inf means a probability of 0; NaN and +inf mean nothing.
#[inline(always)]
fn has_meaning(x: f32) -> bool {
    x < f32::INFINITY
}

#[inline(always)]
fn emission(input: Input, x: f32, top: f32, inverse: f32) -> Scaled {
    if !x.is_finite() {
        return SCALED_ZERO;
    }
    match input {
        Input::Logits => {
            let p = exp_below(x, top);
            normalised(p.m * inverse, p.e)
        }
        Input::Probs { epsilon } => {
            let p = larger(x + epsilon, 0.0) * inverse;
            if p < SMALLEST {
                SCALED_ZERO
            } else {
                normalised(p, 0.0)
            }
        }
        Input::LogProbs | Input::LogProbsExact => {
            let p = exp_scaled(x, 0.0);
            normalised(p.m, p.e)
        }
    }
}

#[inline(always)]
fn add(a: f32, b: f32) -> f32 {
    a + b
}

/// Folds a row in one fixed order that vectors can keep: as many partial results as the widest vector has lanes.
#[inline(always)]
pub(super) fn fold(
    row: &[f32],
    start: f32,
    join: impl Fn(f32, f32) -> f32,
    map: impl Fn(f32) -> f32,
) -> f32 {
    let mut partial = [start; LANES];
    let mut whole = row.chunks_exact(LANES);
    for chunk in &mut whole {
        for (p, x) in partial.iter_mut().zip(chunk) {
            *p = join(*p, map(*x));
        }
    }
    for (p, x) in partial.iter_mut().zip(whole.remainder()) {
        *p = join(*p, map(*x));
    }
    let mut lanes = LANES;
    while lanes > 1 {
        lanes /= 2;
        for i in 0..lanes {
            partial[i] = join(partial[i], partial[i + lanes]);
        }
    }
    partial[0]
}

#[inline(always)]
fn all(row: &[f32], holds: impl Fn(f32) -> bool) -> bool {
    row.iter().fold(true, |so_far, x| so_far & holds(*x))
}
