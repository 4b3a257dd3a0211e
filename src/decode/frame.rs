//! What a frame says: whether it says anything, its likeliest class, and its classes' logarithms, which are float64 all along.

use fearless_simd::{Level, dispatch};

use super::biased;
use crate::options::Input;

/// Reads the frames of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    input: Input,
    level: Level,
}

/// What all classes of a frame have in common: ln p of a class is its score − `most` − `rest`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The largest score.
    pub(super) most: f64,
    /// ln Σ e^(score − most) where the input is to be normalised.
    rest: f64,
    input: Input,
}

impl Reader {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            level: Level::new(),
        }
    }

    /// Log-probabilities are taken as they are, all else is normalised. None where a frame says nothing: one with NaN, +∞, or no
    /// class that is possible.
    pub(super) fn read(&self, row: &[f32]) -> Option<Frame> {
        let (most, rest) = match self.input {
            Input::Logits => {
                let most = self.largest(row)?;
                let sum = dispatch!(self.level, _simd => sum_of_exp(row, most));
                (most, sum.ln())
            }
            Input::LogProbs | Input::LogProbsExact => (self.largest(row)?, 0.0),
            Input::Probs { epsilon } => {
                let (most, sum) = dispatch!(self.level, _simd => sum_of_probs(row, epsilon));
                let valid = most > 0.0 && sum < f64::INFINITY;
                valid.then(|| (most.ln(), (sum / most).ln()))?
            }
        };
        Some(Frame {
            most,
            rest,
            input: self.input,
        })
    }

    /// As [`read`](Self::read), without what all classes lack: what `score` gives decides between them all the same.
    pub(super) fn read_scores(&self, row: &[f32]) -> Option<Frame> {
        match self.input {
            Input::Logits => Some(Frame {
                most: self.largest(row)?,
                rest: 0.0,
                input: self.input,
            }),
            _ => self.read(row),
        }
    }

    /// The first of the likeliest classes.
    pub(super) fn likeliest(&self, row: &[f32]) -> usize {
        match self.input {
            Input::Logits | Input::LogProbs | Input::LogProbsExact => {
                dispatch!(self.level, _simd => first_of(row, largest(row)))
            }
            Input::Probs { epsilon } => {
                let (most, _) = dispatch!(self.level, _simd => sum_of_probs(row, epsilon));
                let is_most = |value: &f32| f64::from(biased(*value, epsilon)) >= most;
                row.iter().position(is_most).unwrap_or(0)
            }
        }
    }

    fn largest(&self, row: &[f32]) -> Option<f64> {
        let most = dispatch!(self.level, _simd => largest(row));
        (most.abs() < f32::INFINITY).then(|| most.into())
    }
}

impl Frame {
    /// What the input says of a class.
    #[inline]
    pub(super) fn score(&self, value: f32) -> f64 {
        match self.input {
            Input::Logits | Input::LogProbs | Input::LogProbsExact => value.into(),
            Input::Probs { epsilon } => f64::from(biased(value, epsilon)).ln(),
        }
    }

    /// ln of a class's probability.
    #[inline]
    pub(super) fn log_prob(&self, value: f32) -> f64 {
        match self.input {
            Input::LogProbs | Input::LogProbsExact => value.into(),
            Input::Logits | Input::Probs { .. } => (self.score(value) - self.most) - self.rest,
        }
    }
}

/// Sums and maxima go in so many lanes, so that they become vectors.
const LANES: usize = 16;

/// The largest value, NaN if there is one.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let mut nan = [0_u32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for ((most, nan), x) in most.iter_mut().zip(&mut nan).zip(chunk) {
            *most = if *x > *most { *x } else { *most };
            *nan |= u32::from(x.is_nan());
        }
    }
    let all = most
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let any_nan = nan.iter().any(|nan| *nan != 0) || rest.iter().any(|x| x.is_nan());
    if any_nan { f32::NAN } else { all }
}

/// Where a value first stands in a row that has it.
#[inline(always)]
fn first_of(row: &[f32], value: f32) -> usize {
    const LONG: usize = 8 * LANES;
    let has = |chunk: &[f32]| chunk.iter().fold(false, |has, x| has | (*x == value));
    let from = row.chunks(LONG).position(has).unwrap_or(0) * LONG;
    let at = row[from..].iter().position(|x| *x == value);
    from + at.unwrap_or(0)
}

/// Σ e^(x − most)
#[inline(always)]
fn sum_of_exp(row: &[f32], most: f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += exp(f64::from(*x) - most);
        }
    }
    let rest = rest.iter().map(|x| exp(f64::from(*x) - most));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The largest p + ε and the sum of all; NaN for both where one has no logarithm.
#[inline(always)]
fn sum_of_probs(row: &[f32], epsilon: f32) -> (f64, f64) {
    let (mut most, mut sums) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut add = |lane: usize, x: f32| {
        let p = f64::from(biased(x, epsilon));
        let p = if p >= 0.0 { p } else { f64::NAN };
        most[lane] = if p > most[lane] { p } else { most[lane] };
        sums[lane] += p;
    };
    for chunk in chunks {
        for (lane, x) in chunk.iter().enumerate() {
            add(lane, *x);
        }
    }
    for x in rest {
        add(0, *x);
    }
    // A maximum passes over NaN, a sum does not.
    (most.into_iter().fold(0.0, f64::max), sums.iter().sum())
}

/// 1/k!, k from 12 down to 2.
const INVERSE_FACTORIALS: [f64; 11] = [
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
];

/// e^x for x ≤ 0, to the last bits; below e^−700 it is that. Without a branch and a call, so that a loop of it becomes vectors, of
/// which the standard library's can be none.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Adding it rounds to an integer n, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8; // its last 21 bits are 0: n times it is exact
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > -700.0 { x } else { -700.0 };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // |r| ≤ ½ ln 2: the first term left out is below 2e-16.
    let mut p = 0.0;
    for c in INVERSE_FACTORIALS {
        p = p * r + c;
    }
    let p = (p * r + 1.0) * r + 1.0;
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_is_right_to_its_last_bits() {
        for i in 0..70_000 {
            let x = -f64::from(i) * 0.01 + f64::from(i % 7) * 1e-3 - 0.006;
            let error = exp(x) / x.exp() - 1.0;
            assert!(error.abs() < 1e-15, "{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn what_says_nothing_is_seen_wherever_it_stands() {
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
                assert!(Reader::new(input).read(&row).is_some());
                row[at] = bad;
                assert!(Reader::new(input).read(&row).is_none(), "{bad} at {at}");
            }
            let mut row = [f32::NEG_INFINITY; 40];
            assert!(Reader::new(Input::Logits).read(&row).is_none());
            row[at] = -3.0;
            let reader = Reader::new(Input::Logits);
            let frame = reader.read(&row).expect("a class");
            assert_eq!(reader.likeliest(&row), at);
            assert_eq!(frame.log_prob(row[at]), 0.0);
        }
        let row = [0.0; 40];
        let probs = Input::Probs { epsilon: 0.0 };
        assert!(Reader::new(probs).read(&row).is_none());
    }
}
