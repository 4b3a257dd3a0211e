//! Scaled floats: vectors of probabilities `m · 2^e`. `shaders/shared/scaled.wgsl` describes them.
//!
//! The exponentials are of two kinds. [`exp`] and [`exp_difference`] return scaled floats, for
//! emissions and normalisation. [`exp_f32`] returns plain f32, for the softmax in the gradient. All
//! use the same polynomial. It is not that of the shaders, so the last bits differ.

use fearless_simd::{Simd, f32x16, i32x16, mask32x16, prelude::*, u32x16};

use super::index::LANES;

/// A probability of `exp(-MAX_NATS)` or less counts as 0: 2^30 nats, which are 1.549e9 bits.
pub(super) const MAX_NATS: f32 = 1_073_741_824.0;

/// The exponents of a state of probability 1 and of probability 0, and of an emission of 0; see
/// `shaders/shared/scaled.wgsl`.
pub(super) const ONE_STATE: i32 = (1 << 30) - (1 << 25);
pub(super) const ZERO_STATE: i32 = -(1 << 29);
const ZERO_EMISSION: i32 = -3 * (1 << 29) + (1 << 20);

/// Log-probabilities above this are invalid: the exponential of 89 overflows f32.
pub(super) const MAX_LOG_PROB: f32 = 88.0;

/// The largest difference of two log-probabilities above `-MAX_NATS`, with a margin.
const MAX_ABS_EXPONENT: f32 = MAX_NATS + 256.0;

/// The smallest normal f32, rounded up. A smaller probability counts as 0, so it is never a
/// divisor.
pub(super) const MIN_PROB: f32 = 1.2e-38;

/// ln 2 in two parts; see `shaders/shared/scaled.wgsl`.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `m · 2^e` in each lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled<S: Simd> {
    pub(super) m: f32x16<S>,
    pub(super) e: i32x16<S>,
}

impl<S: Simd> Scaled<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, m: f32, e: i32) -> Self {
        Self {
            m: f32x16::splat(simd, m),
            e: i32x16::splat(simd, e),
        }
    }

    #[inline(always)]
    pub(super) fn zero_emission(simd: S) -> Self {
        Self::new(simd, 1.0, ZERO_EMISSION)
    }

    /// Loads the vector at `p` from mantissas and the bits of exponents.
    #[inline(always)]
    pub(super) fn load(simd: S, (m, e): (&[f32], &[f32]), p: usize) -> Self {
        Self {
            m: f32x16::from_slice(simd, &m[p..p + LANES]),
            e: f32x16::from_slice(simd, &e[p..p + LANES]).bitcast(),
        }
    }

    #[inline(always)]
    pub(super) fn store(self, (m, e): (&mut [f32], &mut [f32]), p: usize) {
        self.m.store_slice(&mut m[p..p + LANES]);
        let bits: f32x16<S> = self.e.bitcast();
        bits.store_slice(&mut e[p..p + LANES]);
    }

    /// Loads the vector at `p` from pairs of a mantissa and the bits of an exponent.
    #[inline(always)]
    pub(super) fn load_pairs(simd: S, pairs: &[f32], p: usize) -> Self {
        let pairs = &pairs[2 * p..2 * (p + LANES)];
        let first = f32x16::from_slice(simd, &pairs[..LANES]);
        let (m, e) = first.deinterleave(f32x16::from_slice(simd, &pairs[LANES..]));
        Self { m, e: e.bitcast() }
    }

    #[inline(always)]
    pub(super) fn store_pairs(self, pairs: &mut [f32], p: usize) {
        let pairs = &mut pairs[2 * p..2 * (p + LANES)];
        let bits: f32x16<S> = self.e.bitcast();
        let (first, second) = self.m.interleave(bits);
        first.store_slice(&mut pairs[..LANES]);
        second.store_slice(&mut pairs[LANES..]);
    }

    /// Returns `self` in the lanes where `mask` is true, and `other` elsewhere.
    #[inline(always)]
    pub(super) fn select_or(self, mask: mask32x16<S>, other: Self) -> Self {
        Self {
            m: mask.select(self.m, other.m),
            e: mask.select(self.e, other.e),
        }
    }

    /// Returns the same number with m in [1, 2); m must be positive and normal.
    #[inline(always)]
    pub(super) fn normalised(self) -> Self {
        let bits: u32x16<S> = self.m.bitcast();
        let exponent: i32x16<S> = (bits >> 23).bitcast();
        Self {
            m: ((bits & 0x007f_ffff) | 0x3f80_0000).bitcast(),
            e: self.e + (exponent - 127),
        }
    }

    /// Returns the product of a state and an emission.
    #[inline(always)]
    pub(super) fn times_emission(self, emission: Self) -> Self {
        Self {
            m: self.m * emission.m,
            e: (self.e + emission.e).max(ZERO_STATE),
        }
    }

    /// Returns the product of two states, whose exponent is that of its probability plus
    /// `2 * ONE_STATE`. It is clamped to at least 0, which is below every product that counts, so
    /// that differences of such exponents do not overflow.
    #[inline(always)]
    pub(super) fn times_state(self, other: Self) -> Self {
        Self {
            m: self.m * other.m,
            e: (self.e + other.e).max(0),
        }
    }

    /// Returns the sum; its m is at most the sum of both m.
    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let larger = self.e.simd_ge(other.e);
        let e = self.e.max(other.e);
        let shift = power_of_two(self.e.min(other.e) - e);
        let (first, second) = (
            larger.select(self.m, other.m),
            larger.select(other.m, self.m),
        );
        Self {
            m: second.mul_add(shift, first),
            e,
        }
    }

    /// Combines all lanes by `combine`, in their order. Every lane of the result has the same
    /// value.
    #[inline(always)]
    pub(super) fn fold(self, simd: S, combine: impl Fn(Self, Self) -> Self) -> Self {
        let mut sum = Self::new(simd, self.m[0], self.e[0]);
        for i in 1..LANES {
            sum = combine(sum, Self::new(simd, self.m[i], self.e[i])).normalised();
        }
        sum
    }
}

/// Returns `2^d` for d ≤ 0, and 0 for d < −126.
#[inline(always)]
pub(super) fn power_of_two<S: Simd>(d: i32x16<S>) -> f32x16<S> {
    ((d.max(-127) + 127) << 23).bitcast()
}

/// Returns `exp(r)` for |r| ≤ ½ ln 2: the polynomial of degree 6 with the smallest relative error
/// on this range, 3e-9, among those whose first two terms are exact.
#[inline(always)]
fn exp_polynomial<S: Simd>(r: f32x16<S>) -> f32x16<S> {
    let mut p = r.mul_add(1.381_422_4e-3, 8.368_899e-3);
    for c in [4.166_840_4e-2, 1.666_652e-1, 4.999_999_4e-1, 1.0, 1.0] {
        p = p.mul_add(r, c);
    }
    p
}

/// The largest |d| for which [`exp_scaled`] computes the exponential directly. For a larger |d| it
/// splits off the powers of two in f64.
const MAX_DIRECT: f32 = 512.0;

/// 1.5 · 2^23. Adding it to an f32 rounds to an integer.
const ROUND: f32 = 12_582_912.0;

/// Returns `exp(d + low)`; |d| is clamped to `MAX_ABS_EXPONENT`.
#[inline(always)]
fn exp_scaled<S: Simd>(d: f32x16<S>, low: f32x16<S>) -> Scaled<S> {
    if d.abs().simd_gt(MAX_DIRECT).any_true() {
        let simd = d.token();
        let (mut r, mut e) = ([0.0; LANES], [0; LANES]);
        split_powers_f64(d.as_array(), low.as_array(), &mut r, &mut e);
        return Scaled {
            m: exp_polynomial(f32x16::simd_from(simd, r)),
            e: i32x16::simd_from(simd, e),
        };
    }
    // Rounds to an integer, which is then in the low bits of `rounded`.
    let rounded = d * std::f32::consts::LOG2_E + ROUND;
    let e = rounded - ROUND;
    let bits: i32x16<S> = rounded.bitcast();
    // e · LN2_HIGH is exact, so instruction sets with and without fma compute the same difference.
    let r = e.mul_add(-LN2_LOW, e.mul_add(-LN2_HIGH, d)) + low;
    Scaled {
        m: exp_polynomial(r.max(-0.4).min(0.4)),
        e: bits - ROUND.to_bits().cast_signed(),
    }
}

/// Splits `exp(d + low)` into `exp(r) · 2^e` with |r| ≤ ½ ln 2, in f64, for arguments that are not
/// all near 0. It is not compiled for the instruction set of its callers, so vectors are passed by
/// reference, not in registers.
#[cold]
#[inline(never)]
fn split_powers_f64(
    d: &[f32; LANES],
    low: &[f32; LANES],
    r: &mut [f32; LANES],
    e: &mut [i32; LANES],
) {
    for lane in 0..LANES {
        let d =
            f64::from(d[lane].clamp(-MAX_ABS_EXPONENT, MAX_ABS_EXPONENT)) + f64::from(low[lane]);
        let powers = (d * std::f64::consts::LOG2_E).round();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "an integer below 2^31, and a remainder of at most ½ ln 2"
        )]
        {
            e[lane] = powers as i32;
            // As an fma, because the product has more digits than an f64.
            r[lane] = (-powers).mul_add(std::f64::consts::LN_2, d) as f32;
        }
    }
}

/// Returns `exp(x)`, m in [1, 2).
#[inline(always)]
pub(super) fn exp<S: Simd>(x: f32x16<S>) -> Scaled<S> {
    exp_scaled(x, f32x16::splat(x.token(), 0.0)).normalised()
}

/// Returns `exp(x - top)`, m in [1, 2). Compensates the rounding error of the difference (two-sum).
/// If the difference is below `-MAX_ABS_EXPONENT`, returns 0 without the slow computation in f64,
/// because the padding of a row is −∞.
#[inline(always)]
pub(super) fn exp_difference<S: Simd>(x: f32x16<S>, top: f32x16<S>) -> Scaled<S> {
    // Halved and clamped, so that the difference cannot overflow.
    let d = (x * 0.5 - top * 0.5).max(-1.0e37) * 2.0;
    let back = d - x;
    let low = (x - (d - back)) - (top + back);
    let simd = x.token();
    let zero = f32x16::splat(simd, 0.0);
    let counts = d.simd_gt(-MAX_ABS_EXPONENT);
    exp_scaled(counts.select(d, zero), counts.select(low, zero))
        .normalised()
        .select_or(counts, Scaled::zero_emission(simd))
}

/// Returns `x / y` of positive normal numbers of any magnitude, m in [1, 2).
#[inline(always)]
pub(super) fn ratio<S: Simd>(x: f32x16<S>, y: f32x16<S>) -> Scaled<S> {
    let e = i32x16::splat(x.token(), 0);
    let (a, b) = (
        Scaled { m: x, e }.normalised(),
        Scaled { m: y, e }.normalised(),
    );
    Scaled {
        m: a.m / b.m,
        e: a.e - b.e,
    }
    .normalised()
}

/// Returns `p + ε`, or exactly 0 if its magnitude is below the smallest normal number, because a
/// GPU may flush it to 0.
#[inline(always)]
pub(super) fn add_epsilon<S: Simd>(p: f32x16<S>, epsilon: f32) -> f32x16<S> {
    let sum = p + epsilon;
    let zero = f32x16::splat(p.token(), 0.0);
    sum.abs().simd_lt(MIN_PROB).select(zero, sum)
}

/// Returns `exp(d)` as f32, for d ≤ 88; 0 if the result is below about 2^-126, the smallest normal
/// number, or if d is NaN.
#[inline(always)]
pub(super) fn exp_f32<S: Simd>(d: f32x16<S>) -> f32x16<S> {
    // At −88 the power of two is 2^-127, whose exponent bits are those of 0.
    let d = d.max(-88.0);
    // Adding 1.5 · 2^23 rounds to an integer; the further 127 is the bias of the exponent bits.
    let magic = 12_583_039.0;
    let k = d.mul_add(std::f32::consts::LOG2_E, magic);
    let r = (k - magic).mul_add(-std::f32::consts::LN_2, d);
    let bits: u32x16<S> = k.bitcast();
    let scale: f32x16<S> = (bits << 23).bitcast();
    exp_polynomial(r) * scale
}

/// Returns `ln(1 + x)` for |x| ≤ 0.5.
#[inline(always)]
pub(super) fn ln_1_plus<S: Simd>(x: f32x16<S>) -> f32x16<S> {
    let q = x / (x + 2.0);
    let q2 = q * q;
    let mut p = q2 * 0.111_111_11 + 0.142_857_14;
    p = p.mul_add(q2, 0.2);
    p = p.mul_add(q2, 0.333_333_33);
    q * 2.0 * p.mul_add(q2, 1.0)
}

/// Returns `-ln(m · 2^e)` for m in [1, 2).
#[inline(always)]
pub(super) fn neg_ln<S: Simd>(s: Scaled<S>) -> f32x16<S> {
    let high = s.m.simd_gt(std::f32::consts::SQRT_2);
    let m = high.select(s.m * 0.5, s.m);
    let e: f32x16<S> = high.select(s.e + 1, s.e).to_float();
    -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)))
}

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};

    use super::*;

    /// Evaluates an expression for all numbers, in one vector of the best available instruction
    /// set.
    macro_rules! each {
        ($numbers:expr, |$simd:ident, $x:ident| $f:expr) => {{
            let mut lanes = [0.0; LANES];
            lanes[..$numbers.len()].copy_from_slice(&$numbers);
            dispatch!(Level::new(), $simd => {
                let $x = f32x16::simd_from($simd, lanes);
                $f
            })
        }};
    }

    #[test]
    fn the_scaled_exponential_is_accurate_at_any_magnitude() {
        let numbers = [
            0.0, -1e-6, -0.3, -1.0, -17.25, -80.0, -1000.0, 12.5, -10_007.3,
        ];
        let (m, e) = each!(numbers, |simd, x| {
            let s = exp(x);
            (s.m.as_slice().to_vec(), s.e.as_slice().to_vec())
        });
        for (i, d) in numbers.into_iter().enumerate() {
            let log2 = f64::from(m[i]).log2() + f64::from(e[i]);
            let error = (log2 * std::f64::consts::LN_2 - f64::from(d)).abs();
            assert!(
                error < 2e-7 + 1e-8 * f64::from(d).abs(),
                "exp({d}): off by {error}"
            );
        }
    }

    #[test]
    fn the_f32_exponential_is_accurate_or_0() {
        let numbers = [0.0, -1e-6, -0.3, -1.0, -17.25, -86.9, 12.5, 87.9];
        let found = each!(numbers, |simd, x| exp_f32(x).as_slice().to_vec());
        for (x, y) in numbers.into_iter().zip(found) {
            let error = f64::from(y) / f64::from(x).exp() - 1.0;
            let bound = 1.5e-7 + 2e-9 * f64::from(x).abs();
            assert!(error.abs() < bound, "exp({x}) is not {y}");
        }
        let none = [-88.0, -1e38, f32::NEG_INFINITY, f32::NAN];
        let found = each!(none, |simd, x| exp_f32(x).as_slice().to_vec());
        assert_eq!(found[..none.len()], [0.0; 4]);
    }

    #[test]
    fn adding_zero_changes_nothing_and_zero_times_a_number_is_zero() {
        let (sum, still) = each!([1.0], |simd, m| {
            let e = |e| i32x16::splat(simd, e);
            let least = ONE_STATE - 1_549_082_005;
            let small = Scaled { m, e: e(least) };
            let zero = Scaled {
                m,
                e: e(ZERO_STATE),
            };
            let sum = small.plus(zero).plus(zero);
            let one = Scaled { m, e: e(ONE_STATE) };
            let none = Scaled::zero_emission(simd);
            let half = Scaled { m, e: e(-1) };
            let still = [
                zero.plus(zero).times_emission(half),
                zero.times_emission(none),
                one.times_emission(none),
            ];
            ((sum.m[0], sum.e[0] - least), still.map(|zero| zero.e[0]))
        });
        assert_eq!(sum, (1.0, 0));
        assert_eq!(still, [ZERO_STATE; 3]);
    }

    #[test]
    fn the_logarithm_of_a_probability_near_1_is_accurate() {
        let p = 1.0 - 3.0e-6_f32;
        let found = each!([p], |simd, m| {
            let e = i32x16::splat(simd, 0);
            neg_ln(Scaled { m, e }.normalised())[0]
        });
        let expected = -f64::from(p).ln();
        let error = f64::from(found) / expected - 1.0;
        assert!(error.abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn powers_of_two_are_exact_or_zero() {
        let found = each!([0.0, -126.0, -127.0, -1.0e9], |simd, d| power_of_two(
            d.to_int()
        )
        .as_slice()
        .to_vec());
        assert_eq!(found[..4], [1.0, f32::MIN_POSITIVE, 0.0, 0.0]);
    }
}
