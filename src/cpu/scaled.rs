//! Scaled floats: probabilities `m · 2^e`, a vector at a time; twin of `shaders/shared/scaled.wgsl`, where the idea is
//! explained.

use fearless_simd::{Simd, f32x16, i32x16, mask32x16, prelude::*, u32x16};

use super::index::LANES;

/// The exponent of 0. The sum of two is still an `i32`.
pub(super) const ZERO: i32 = -(1 << 29);

/// A probability of `exp(-LEAST)` or less counts as 0.
pub(super) const LEAST: f32 = 268_435_456.0;

/// No f32 holds the probability of a log-probability above this.
pub(super) const MOST: f32 = 88.0;

/// How far apart two log-probabilities that count may be, and somewhat more.
const FARTHEST: f32 = LEAST + 256.0;

/// The smallest normal number, rounded up: nothing is divided by less.
pub(super) const SMALLEST: f32 = 1.2e-38;

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
    pub(super) fn zero(simd: S) -> Self {
        Self::new(simd, 1.0, ZERO)
    }

    /// The lanes that begin at `p`, of mantissas and of the bits of exponents.
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

    /// The lanes that begin at `p`, of mantissas and the bits of exponents in turn.
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

    /// This where `mask` holds, else `other`.
    #[inline(always)]
    pub(super) fn or(self, mask: mask32x16<S>, other: Self) -> Self {
        Self {
            m: mask.select(self.m, other.m),
            e: mask.select(self.e, other.e),
        }
    }

    /// m in [1, 2) again; it must be positive and normal.
    #[inline(always)]
    pub(super) fn normalised(self) -> Self {
        let bits: u32x16<S> = self.m.bitcast();
        let exponent: i32x16<S> = (bits >> 23).bitcast();
        Self {
            m: ((bits & 0x007f_ffff) | 0x3f80_0000).bitcast(),
            e: (self.e + (exponent - 127)).max(ZERO),
        }
    }

    /// The product, not normalised.
    #[inline(always)]
    pub(super) fn by(self, other: Self) -> Self {
        Self {
            m: self.m * other.m,
            e: self.e + other.e,
        }
    }

    /// The sum; m of the result is less than the sum of the two.
    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let larger = self.e.simd_ge(other.e);
        let e = self.e.max(other.e);
        let shift = power(self.e.min(other.e) - e);
        let (first, second) = (
            larger.select(self.m, other.m),
            larger.select(other.m, self.m),
        );
        Self {
            m: second.mul_add(shift, first),
            e,
        }
    }

    /// All lanes joined, in their order.
    #[inline(always)]
    pub(super) fn fold(self, simd: S, join: impl Fn(Self, Self) -> Self) -> Self {
        let mut whole = Self::new(simd, self.m[0], self.e[0]);
        for i in 1..LANES {
            whole = join(whole, Self::new(simd, self.m[i], self.e[i])).normalised();
        }
        whole
    }
}

/// `2^d` for integral `d` up to 0; 0 below -126.
#[inline(always)]
pub(super) fn power<S: Simd>(d: i32x16<S>) -> f32x16<S> {
    ((d.max(-127) + 127) << 23).bitcast()
}

/// `exp(r)` for |r| ≤ ½ ln 2: the polynomial of degree 6, with its first two terms exact, whose relative error is
/// smallest there, 3e-9.
#[inline(always)]
fn exp_near_0<S: Simd>(r: f32x16<S>) -> f32x16<S> {
    let mut p = r.mul_add(1.381_422_4e-3, 8.368_899e-3);
    for c in [4.166_840_4e-2, 1.666_652e-1, 4.999_999_4e-1, 1.0, 1.0] {
        p = p.mul_add(r, c);
    }
    p
}

/// Beyond this `exp` is taken in two steps.
const NEAR: f32 = 512.0;

/// 1.5 · 2^23
const ROUND: f32 = 12_582_912.0;

/// `exp(d + low)` for |d| ≤ `FARTHEST`; beyond, as of `FARTHEST`.
#[inline(always)]
fn exp_scaled<S: Simd>(d: f32x16<S>, low: f32x16<S>) -> Scaled<S> {
    if d.abs().simd_gt(NEAR).any_true() {
        let simd = d.token();
        let (mut r, mut e) = ([0.0; LANES], [0; LANES]);
        split_far(d.as_array(), low.as_array(), &mut r, &mut e);
        return Scaled {
            m: exp_near_0(f32x16::simd_from(simd, r)),
            e: i32x16::simd_from(simd, e),
        };
    }
    // Rounds to an integer, which then stands in the low bits.
    let rounded = d * std::f32::consts::LOG2_E + ROUND;
    let e = rounded - ROUND;
    let bits: i32x16<S> = rounded.bitcast();
    // Exact where the machine rounds these once, and where it rounds twice.
    let r = e.mul_add(-LN2_LOW, e.mul_add(-LN2_HIGH, d)) + low;
    Scaled {
        m: exp_near_0(r.max(-0.4).min(0.4)),
        e: bits - ROUND.to_bits().cast_signed(),
    }
}

/// Splits the powers of two off exponents that are not all near 0, in f64. By reference: it is not compiled for the
/// instructions of its callers, which have their vectors in registers.
#[cold]
#[inline(never)]
fn split_far(d: &[f32; LANES], low: &[f32; LANES], r: &mut [f32; LANES], e: &mut [i32; LANES]) {
    for lane in 0..LANES {
        let d = f64::from(d[lane].clamp(-FARTHEST, FARTHEST)) + f64::from(low[lane]);
        let powers = (d * std::f64::consts::LOG2_E).round();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "an integer below 2^29, and what is left of the argument"
        )]
        {
            e[lane] = powers as i32;
            r[lane] = (d - powers * std::f64::consts::LN_2) as f32;
        }
    }
}

/// `exp(x)`, m in [1, 2).
#[inline(always)]
pub(super) fn exp<S: Simd>(x: f32x16<S>) -> Scaled<S> {
    exp_scaled(x, f32x16::splat(x.token(), 0.0)).normalised()
}

/// `exp(x - top)` with what rounding took from the difference put back, m in [1, 2); 0 for what is too far below to
/// count, −∞ too: what fills up a row must not take the far path.
#[inline(always)]
pub(super) fn exp_below<S: Simd>(x: f32x16<S>, top: f32x16<S>) -> Scaled<S> {
    // Held off infinity.
    let d = (x * 0.5 - top * 0.5).max(-1.0e37) * 2.0;
    let back = d - x;
    let low = (x - (d - back)) - (top + back);
    let simd = x.token();
    let none = f32x16::splat(simd, 0.0);
    let counts = d.simd_gt(-FARTHEST);
    exp_scaled(counts.select(d, none), counts.select(low, none))
        .normalised()
        .or(counts, Scaled::zero(simd))
}

/// `x / y` of positive normal numbers, however far apart, m in [1, 2).
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

/// `p + ε`; exactly 0 below the smallest normal number, where a device may take it for that.
#[inline(always)]
pub(super) fn biased<S: Simd>(p: f32x16<S>, epsilon: f32) -> f32x16<S> {
    let sum = p + epsilon;
    let none = f32x16::splat(p.token(), 0.0);
    sum.abs().simd_lt(SMALLEST).select(none, sum)
}

/// `exp(d)` as a plain number, for what is at most 88; 0 where it would not be normal, and for NaN.
#[inline(always)]
pub(super) fn exp_plain<S: Simd>(d: f32x16<S>) -> f32x16<S> {
    // Less than that is 2^-127 too, whose exponent's bits are those of 0.
    let d = d.max(-88.0);
    // 1.5 · 2^23 rounds to an integer, and 127 more makes it the exponent's bits.
    let magic = 12_583_039.0;
    let k = d.mul_add(std::f32::consts::LOG2_E, magic);
    let r = (k - magic).mul_add(-std::f32::consts::LN_2, d);
    let bits: u32x16<S> = k.bitcast();
    let scale: f32x16<S> = (bits << 23).bitcast();
    exp_near_0(r) * scale
}

/// `ln(1 + x)` for 0 ≤ x ≤ 0.5
#[inline(always)]
pub(super) fn ln_1_plus<S: Simd>(x: f32x16<S>) -> f32x16<S> {
    let q = x / (x + 2.0);
    let q2 = q * q;
    let mut p = q2 * 0.111_111_11 + 0.142_857_14;
    p = p.mul_add(q2, 0.2);
    p = p.mul_add(q2, 0.333_333_33);
    q * 2.0 * p.mul_add(q2, 1.0)
}

/// `-ln(m · 2^e)` for m in [1, 2).
#[inline(always)]
pub(super) fn minus_ln<S: Simd>(s: Scaled<S>) -> f32x16<S> {
    let high = s.m.simd_gt(std::f32::consts::SQRT_2);
    let m = high.select(s.m * 0.5, s.m);
    let e: f32x16<S> = high.select(s.e + 1, s.e).to_float();
    -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)))
}

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};

    use super::*;

    /// `f` of all numbers, through a vector of the machine's best instructions.
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
    fn an_exponential_is_right_to_its_last_bits_at_any_size() {
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
    fn a_plain_exponential_is_right_to_its_last_bits_or_0() {
        let numbers = [0.0, -1e-6, -0.3, -1.0, -17.25, -86.9, 12.5, 87.9];
        let found = each!(numbers, |simd, x| exp_plain(x).as_slice().to_vec());
        for (x, y) in numbers.into_iter().zip(found) {
            let error = f64::from(y) / f64::from(x).exp() - 1.0;
            let bound = 1.5e-7 + 2e-9 * f64::from(x).abs();
            assert!(error.abs() < bound, "exp({x}) is not {y}");
        }
        let none = [-88.0, -1e38, f32::NEG_INFINITY, f32::NAN];
        let found = each!(none, |simd, x| exp_plain(x).as_slice().to_vec());
        assert_eq!(found[..none.len()], [0.0; 4]);
    }

    #[test]
    fn zero_adds_nothing_and_stays_zero() {
        let (sum, still) = each!([1.0], |simd, m| {
            let half = Scaled {
                m,
                e: i32x16::splat(simd, -1),
            };
            let zero = Scaled::zero(simd);
            let sum = half.plus(zero).plus(zero);
            let still = zero.plus(zero).by(half).normalised();
            ((sum.m[0], sum.e[0]), still.e[0])
        });
        assert_eq!(sum, (1.0, -1));
        assert_eq!(still, ZERO);
    }

    #[test]
    fn a_logarithm_near_probability_one_keeps_its_digits() {
        let p = 1.0 - 3.0e-6_f32;
        let found = each!([p], |simd, m| {
            let e = i32x16::splat(simd, 0);
            minus_ln(Scaled { m, e }.normalised())[0]
        });
        let want = -f64::from(p).ln();
        let error = f64::from(found) / want - 1.0;
        assert!(error.abs() < 1e-6, "{found} is not {want}");
    }

    #[test]
    fn a_power_of_two_is_exact_or_zero() {
        let found = each!([0.0, -126.0, -127.0, -1.0e9], |simd, d| power(d.to_int())
            .as_slice()
            .to_vec());
        assert_eq!(found[..4], [1.0, f32::MIN_POSITIVE, 0.0, 0.0]);
    }
}
