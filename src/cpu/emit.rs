//! emit: the probabilities that an item needs, gathered into compact rows; twin of `shaders/emit.wgsl`.

use super::index::LANES;
use super::labels::Item;
use super::scaled::{
    SCALED_ZERO, SMALLEST, Scaled, below, exp_below, exp_plain, larger, normalised,
};
use crate::options::{Input, Options};
use crate::problem::Problem;

/// The emissions of an item, a row a frame: mantissas and exponents apart, and the blank's first.
#[derive(Debug, Default)]
pub(super) struct Emissions {
    m: Vec<f32>,
    e: Vec<f32>,
    blanks: Vec<Scaled>,
    /// Maximum of each frame, and its excess: what its entries, relative to that, sum to beyond 1.
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

/// Fills `out`; `false` if a frame has no meaning.
#[inline(always)]
pub(super) fn emit(
    problem: &Problem<'_>,
    options: &Options,
    item: &Item,
    n: usize,
    out: &mut Emissions,
) -> bool {
    // One copy of the loops for each convention, with nothing to choose inside.
    match options.input {
        Input::Logits => frames(
            problem,
            item,
            n,
            out,
            f32::MIN,
            |x| x,
            |x, top| exp_plain(below(x, top)),
            emission,
        ),
        Input::LogProbs | Input::LogProbsExact => {
            frames(problem, item, n, out, f32::MIN, |x| x, |_, _| 0.0, emission)
        }
        Input::Probs { epsilon } => {
            let score = |x: f32| x + epsilon;
            frames(
                problem,
                item,
                n,
                out,
                SMALLEST,
                score,
                |x, top| x / top,
                |x, top| {
                    let p = x / top;
                    if p < SMALLEST {
                        SCALED_ZERO
                    } else {
                        normalised(p, 0.0)
                    }
                },
            ) && (0..item.frames).all(|t| row_of(problem, n, t).iter().all(|x| score(*x) >= 0.0))
        }
    }
}

#[inline(always)]
fn row_of<'a>(problem: &Problem<'a>, n: usize, t: usize) -> &'a [f32] {
    let start = problem.shape().row(n, t);
    &problem.values[start..start + problem.shape().classes]
}

/// Each frame: its maximum (no less than `least`), its excess, and the emissions of the labels; `false` if one has no
/// meaning.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "the convention comes as three functions"
)]
fn frames(
    problem: &Problem<'_>,
    item: &Item,
    n: usize,
    out: &mut Emissions,
    least: f32,
    score: impl Fn(f32) -> f32,
    share: impl Fn(f32, f32) -> f32,
    emission: impl Fn(f32, f32) -> Scaled,
) -> bool {
    out.clear(item);
    let mut meaning = true;
    for t in 0..item.frames {
        let row = row_of(problem, n, t);
        let top = fold(row, f32::MIN, larger, |x| {
            if x.is_finite() { score(x) } else { f32::MIN }
        });
        // What has no meaning must not be divided by.
        let top = larger(top, least);
        let likeliest = |x: f32| x.is_finite() && score(x) == top;
        let ties = fold(row, 0.0, add, |x| if likeliest(x) { 1.0 } else { 0.0 });
        let others = fold(row, 0.0, add, |x| {
            if x.is_finite() && !likeliest(x) {
                share(score(x), top)
            } else {
                0.0
            }
        });
        // −inf means a probability of 0; NaN and +inf mean nothing. Without a likeliest class none has a probability.
        let bad = fold(row, 0.0, add, |x| if x < f32::INFINITY { 0.0 } else { 1.0 });
        meaning &= bad == 0.0 && ties != 0.0;
        out.stats.push((top, larger(ties - 1.0, 0.0) + others));
        let emit = |x: f32| {
            if x.is_finite() {
                emission(score(x), top)
            } else {
                SCALED_ZERO
            }
        };
        out.blanks.push(emit(row[problem.blank]));
        let places = t * out.places..(t + 1) * out.places;
        let (m, e) = (&mut out.m[places.clone()], &mut out.e[places]);
        for (i, &class) in item.classes.iter().enumerate() {
            let y = emit(row[class as usize]);
            m[i] = y.m;
            e[i] = y.e;
        }
    }
    meaning
}

#[inline(always)]
fn emission(x: f32, top: f32) -> Scaled {
    let p = exp_below(x, top);
    normalised(p.m, p.e)
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
