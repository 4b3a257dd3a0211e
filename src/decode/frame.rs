//! Frames of the input: validity, the most probable class, and log-probabilities in float64.

use fearless_simd::{Level, Simd, dispatch, f32x16, f64x8, prelude::*, u64x8};

use super::add_epsilon;
use crate::cpu::RowVectors;
use crate::options::Input;

/// Normalises the frames of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameReader {
    input: Input,
    level: Level,
}

/// The normaliser of a frame. ln p of a class is its score − `max` − `rest`; for log-probabilities,
/// it is the score.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    input: Input,
    /// The largest score.
    max: f64,
    /// ln Σ e^(score − max); 0 for log-probabilities, and for logits from `read_scores`.
    rest: f64,
}

impl FrameReader {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            level: Level::new(),
        }
    }

    /// Reads a frame. Log-probabilities are used as they are, other input is normalised. Returns
    /// `None` if the frame is not a distribution: it contains NaN, +∞, a log-probability above 88
    /// or a probability below −ε, or no class of positive probability.
    pub(super) fn read(&self, row: &[f32]) -> Option<Frame> {
        let frame = self.read_scores(row)?;
        Some(match self.input {
            Input::Logits => Frame {
                rest: dispatch!(self.level, simd => sum_of_exp(simd, row, frame.max)).ln(),
                ..frame
            },
            _ => frame,
        })
    }

    /// Reads a frame as [`read`](Self::read) does, but does not normalise logits, for callers that
    /// need only their order.
    pub(super) fn read_scores(&self, row: &[f32]) -> Option<Frame> {
        let frame = |max, rest| Frame {
            input: self.input,
            max,
            rest,
        };
        if let Input::Probs { epsilon } = self.input {
            let (largest, sum) = dispatch!(self.level, simd => sum_of_probs(simd, row, epsilon));
            let max = f64::from(largest);
            let valid = largest > 0.0 && sum < f64::INFINITY;
            return valid.then(|| frame(max.ln(), (sum / max).ln()));
        }
        let max = dispatch!(self.level, simd => largest(simd, row));
        is_distribution(self.input, max).then(|| frame(max.into(), 0.0))
    }

    /// Returns the most probable class of each frame, the first of equal ones; `None` if a frame is
    /// not a distribution.
    pub(super) fn most_probable_path<'r>(
        &self,
        rows: impl ExactSizeIterator<Item = &'r [f32]>,
    ) -> Option<Path> {
        dispatch!(self.level, simd => most_probable_path(simd, self.input, rows))
    }
}

/// A probability of e^−MAX_NATS or less counts as 0, as in the loss: 2^30 nats. It is relative to
/// the largest of the frame, or, for log-probabilities, to 1.
const MAX_NATS: f64 = 1_073_741_824.0;

/// Returns true if a frame with this largest score is a distribution.
fn is_distribution(input: Input, max: f32) -> bool {
    match input {
        Input::LogProbs | Input::LogProbsExact => f64::from(max) > -MAX_NATS && max <= 88.0,
        Input::Logits | Input::Probs { .. } => max.is_finite(),
    }
}

/// The most probable class of each frame, and ln of the probability of that path.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) classes: Vec<usize>,
    pub(super) log_prob: f64,
}

/// When the product of factors exceeds this number, its logarithm is subtracted from `log_prob`,
/// and the product starts again at 1. One more factor, a sum over a frame's classes, cannot
/// overflow it.
const LARGE: f64 = 1e200;

#[inline(always)]
fn most_probable_path<'r, S: Simd>(
    simd: S,
    input: Input,
    rows: impl ExactSizeIterator<Item = &'r [f32]>,
) -> Option<Path> {
    let mut classes = Vec::with_capacity(rows.len());
    // p = e^log_prob / Π factors: one logarithm of a product for hundreds of frames.
    let (mut log_prob, mut factors) = (0.0, 1.0);
    for row in rows {
        let class = match input {
            Input::Probs { epsilon } => {
                let (max, sum) = sum_of_probs(simd, row, epsilon);
                if max <= 0.0 || !sum.is_finite() {
                    return None;
                }
                factors *= sum / f64::from(max);
                first_of(
                    row,
                    #[inline(always)]
                    |p| add_epsilon(p, epsilon) == max,
                )
            }
            Input::Logits | Input::LogProbs | Input::LogProbsExact => {
                let max = largest(simd, row);
                if !is_distribution(input, max) {
                    return None;
                }
                if input == Input::Logits {
                    factors *= sum_of_exp(simd, row, max.into());
                } else {
                    log_prob += f64::from(max);
                }
                first_of(
                    row,
                    #[inline(always)]
                    |x| x == max,
                )
            }
        };
        if factors > LARGE {
            log_prob -= factors.ln();
            factors = 1.0;
        }
        classes.push(class);
    }
    log_prob -= factors.ln();
    Some(Path { classes, log_prob })
}

impl Frame {
    /// Returns the score of a class, −∞ if its probability counts as 0.
    #[inline]
    pub(super) fn score(&self, value: f32) -> f64 {
        let score = match self.input {
            Input::Logits | Input::LogProbs | Input::LogProbsExact => value.into(),
            Input::Probs { epsilon } => f64::from(add_epsilon(value, epsilon)).ln(),
        };
        let depth = match self.input {
            Input::LogProbs | Input::LogProbsExact => score,
            Input::Logits | Input::Probs { .. } => score - self.max,
        };
        if depth > -MAX_NATS {
            score
        } else {
            f64::NEG_INFINITY
        }
    }

    /// Returns a constant to subtract from the scores of all classes, so that sums over frames keep
    /// their precision.
    #[inline]
    pub(super) fn offset(&self) -> f64 {
        match self.input {
            Input::Logits => self.max,
            Input::LogProbs | Input::LogProbsExact | Input::Probs { .. } => 0.0,
        }
    }

    /// Returns ln of a class's probability.
    #[inline]
    pub(super) fn log_prob(&self, value: f32) -> f64 {
        match self.input {
            Input::LogProbs | Input::LogProbsExact => self.score(value),
            Input::Logits | Input::Probs { .. } => (self.score(value) - self.max) - self.rest,
        }
    }
}

/// Elements of a row per vector.
const LANES: usize = 16;

/// Returns the largest value, or NaN if the row contains one.
#[inline(always)]
fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut max = f32x16::splat(simd, f32::NEG_INFINITY);
    let mut not_nan = max.simd_eq(max);
    RowVectors::new(row, f32::NEG_INFINITY).each(
        simd,
        #[inline(always)]
        |x| {
            max = max.max(x);
            not_nan &= x.simd_eq(x);
        },
    );
    if not_nan.all_true() {
        largest_lane(simd, max)
    } else {
        f32::NAN
    }
}

#[inline(always)]
fn largest_lane<S: Simd>(simd: S, lanes: f32x16<S>) -> f32 {
    let (a, b) = simd.split_f32x16(lanes);
    let (a, b) = simd.split_f32x8(a.max(b));
    let max = a.max(b);
    max[0].max(max[1]).max(max[2].max(max[3]))
}

/// Returns the index of the first element for which `is` holds, in a row that has one.
#[inline(always)]
fn first_of(row: &[f32], is: impl Fn(f32) -> bool) -> usize {
    let chunk_index = row.chunks(LANES).position(
        #[inline(always)]
        |chunk| chunk.iter().fold(false, |has, x| has | is(*x)),
    );
    let from = chunk_index.unwrap_or(0) * LANES;
    let at = row[from..].iter().position(|x| is(*x));
    from + at.unwrap_or(0)
}

/// Returns Σ e^(x − max).
#[inline(always)]
fn sum_of_exp<S: Simd>(simd: S, row: &[f32], max: f64) -> f64 {
    let mut sums = [f64x8::splat(simd, 0.0); 2];
    RowVectors::new(row, f32::NEG_INFINITY).each(
        simd,
        #[inline(always)]
        |x| {
            let (low, high) = simd.widen_f32x16(x);
            sums[0] += exp(low - max);
            sums[1] += exp(high - max);
        },
    );
    sum_of_lanes(simd, sums[0] + sums[1])
}

#[inline(always)]
fn sum_of_lanes<S: Simd>(simd: S, lanes: f64x8<S>) -> f64 {
    let (a, b) = simd.split_f64x8(lanes);
    let (a, b) = simd.split_f64x4(a + b);
    let sum = a + b;
    sum[0] + sum[1]
}

/// Returns the largest p + ε of a row, and the sum of all, which is NaN if one is negative or NaN.
#[inline(always)]
fn sum_of_probs<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> (f32, f64) {
    let zero = f32x16::splat(simd, 0.0);
    let (mut max, mut sums) = (zero, f64x8::splat(simd, 0.0));
    // The padding becomes 0 when ε is added.
    RowVectors::new(row, -epsilon).each(
        simd,
        #[inline(always)]
        |p| {
            let p = p + epsilon;
            // The same rule as in `add_epsilon`.
            let p = p.abs().simd_lt(1.2e-38).select(zero, p);
            let p = p.simd_ge(0.0).select(p, f32x16::splat(simd, f32::NAN));
            max = max.max(p);
            let (low, high) = simd.widen_f32x16(p);
            sums += low + high;
        },
    );
    (largest_lane(simd, max), sum_of_lanes(simd, sums))
}

/// 1/k!, k from 12 down to 0.
const INVERSE_FACTORIALS: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// Returns e^x for x ≤ 0, accurate to the last bits; for x < −700 it returns e^−700.
///
/// It splits x into n·ln(2) + r with an integer n (W. J. Cody, W. Waite, *Software manual for the
/// elementary functions*, 1980). Then e^x = 2^n·e^r, and e^r is computed by its Taylor series.
#[inline(always)]
fn exp<S: Simd>(x: f64x8<S>) -> f64x8<S> {
    // Adding this number rounds to an integer n, which is then in the lowest bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    // The last 21 bits are 0, so that n · LN2_HIGH is exact.
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.max(-700.0);
    let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    // |r| ≤ ½ ln 2, so the first omitted term is below 2e-16.
    let mut p = f64x8::splat(x.token(), INVERSE_FACTORIALS[0]);
    for c in &INVERSE_FACTORIALS[1..] {
        p = p.mul_add(r, *c);
    }
    let bits: u64x8<S> = p.bitcast();
    let n: u64x8<S> = shifted.bitcast();
    (bits + (n << 52)).bitcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exp_of(x: f64) -> f64 {
        dispatch!(Level::new(), simd => exp(f64x8::splat(simd, x))[0])
    }

    #[test]
    fn an_exponential_is_accurate_to_the_last_bits() {
        for i in 0..70_000 {
            let x = -f64::from(i) * 0.01 + f64::from(i % 7) * 1e-3 - 0.006;
            let error = exp_of(x) / x.exp() - 1.0;
            assert!(error.abs() < 1e-15, "{x}: {error}");
        }
        assert_eq!(exp_of(0.0), 1.0);
        assert!(exp_of(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn an_invalid_frame_is_detected_at_any_position() {
        for at in 0..40 {
            for (bad, input) in [
                (f32::NAN, Input::Logits),
                (f32::INFINITY, Input::Logits),
                (f32::NAN, Input::LogProbs),
                (f32::NAN, Input::Probs { epsilon: 0.0 }),
                (f32::INFINITY, Input::Probs { epsilon: 0.0 }),
                (-0.5, Input::Probs { epsilon: 1e-7 }),
            ] {
                let mut row = [0.25; 40];
                assert!(FrameReader::new(input).read(&row).is_some());
                row[at] = bad;
                let reader = FrameReader::new(input);
                assert!(reader.read(&row).is_none(), "{bad} at {at}");
                let path = reader.most_probable_path([&[0.25; 40][..], &row].into_iter());
                assert!(path.is_none(), "{bad} at {at}");
            }
            let mut row = [f32::NEG_INFINITY; 40];
            assert!(FrameReader::new(Input::Logits).read(&row).is_none());
            row[at] = -3.0;
            let reader = FrameReader::new(Input::Logits);
            let frame = reader.read(&row);
            assert_eq!(frame.map(|frame| frame.log_prob(row[at])), Some(0.0));
            let path = reader.most_probable_path([&row[..]; 3].into_iter());
            let path = path.map(|path| (path.classes, path.log_prob));
            assert_eq!(path, Some((vec![at; 3], 0.0)));
        }
        let row = [0.0; 40];
        let probs = Input::Probs { epsilon: 0.0 };
        assert!(FrameReader::new(probs).read(&row).is_none());
    }
}
