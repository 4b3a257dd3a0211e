//! Scaled floats: a probability `m · 2^e`; twin of `shaders/shared/scaled.wgsl`, where the idea is explained.

/// The exponent of 0.
pub(super) const ZERO: f32 = -1.0e38;
/// Exponents of emissions stay within this.
const FAR: f32 = 1.0e33;

/// The smallest normal number, rounded up: nothing is divided by less.
pub(super) const SMALLEST: f32 = 1.2e-38;

const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `m · 2^e`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaled {
    pub(super) m: f32,
    pub(super) e: f32,
}

pub(super) const SCALED_ZERO: Scaled = Scaled { m: 1.0, e: ZERO };
pub(super) const SCALED_ONE: Scaled = Scaled { m: 1.0, e: 0.0 };

/// The larger of two numbers that are not NaN, as one instruction.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// `2^d` for integral `d`, 0 below -126, no more than `2^127`.
#[inline(always)]
pub(super) fn power(d: f32) -> f32 {
    f32::from_bits((smaller(larger(d, -127.0), 127.0) + 8_388_735.0).to_bits() << 23)
}

/// `m · 2^e` with m in [1, 2) again; m must be positive and normal.
#[inline(always)]
pub(super) fn normalised(m: f32, e: f32) -> Scaled {
    let bits = m.to_bits();
    let exponent = f32::from_bits((bits >> 23) | 0x4b00_0000) - 8_388_735.0;
    Scaled {
        m: f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000),
        e: larger(e + exponent, ZERO),
    }
}

/// `a + b`; m of the result is in [1, 4).
#[inline(always)]
pub(super) fn add2(a: Scaled, b: Scaled) -> Scaled {
    let e = larger(a.e, b.e);
    let m = a.m * power(a.e - e) + b.m * power(b.e - e);
    Scaled { m, e }
}

/// `a + b + c`; m of the result is in [1, 6).
#[inline(always)]
pub(super) fn add3(a: Scaled, b: Scaled, c: Scaled) -> Scaled {
    let e = larger(larger(a.e, b.e), c.e);
    let m = a.m * power(a.e - e) + b.m * power(b.e - e) + c.m * power(c.e - e);
    Scaled { m, e }
}

#[inline(always)]
pub(super) fn times(a: Scaled, b: Scaled) -> Scaled {
    normalised(a.m * b.m, a.e + b.e)
}

/// `exp(d + low)`
#[inline(always)]
pub(super) fn exp_scaled(d: f32, low: f32) -> Scaled {
    let e = smaller(
        larger((d * std::f32::consts::LOG2_E + 0.5).floor(), -FAR),
        FAR,
    );
    let r = smaller(larger(((d - e * LN2_HIGH) - e * LN2_LOW) + low, -0.4), 0.4);
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    Scaled {
        m: p * r * r + r + 1.0,
        e,
    }
}

#[inline(always)]
pub(super) fn exp_plain(d: f32) -> f32 {
    let s = exp_scaled(d, 0.0);
    s.m * power(s.e)
}

/// `x - top` for a top that is not below x, held off infinity.
#[inline(always)]
pub(super) fn below(x: f32, top: f32) -> f32 {
    2.0 * larger(0.5 * x - 0.5 * top, -1.0e37)
}

/// `exp(x - top)` with what rounding took from the difference put back.
#[inline(always)]
pub(super) fn exp_below(x: f32, top: f32) -> Scaled {
    let d = below(x, top);
    let back = d - x;
    let low = (x - (d - back)) - (top + back);
    exp_scaled(d, if low.abs() < 1.0 { low } else { 0.0 })
}

/// `ln(1 + x)` for 0 ≤ x ≤ 0.5
#[inline(always)]
pub(super) fn ln_1_plus(x: f32) -> f32 {
    let q = x / (2.0 + x);
    let q2 = q * q;
    2.0 * q * (1.0 + q2 * (0.333_333_33 + q2 * (0.2 + q2 * (0.142_857_14 + q2 * 0.111_111_11))))
}

/// `-ln(m · 2^e)`
#[inline(always)]
pub(super) fn minus_ln(s: Scaled) -> f32 {
    let high = s.m > std::f32::consts::SQRT_2;
    let m = if high { 0.5 * s.m } else { s.m };
    let e = if high { s.e + 1.0 } else { s.e };
    -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_is_right_to_its_last_bits_at_any_size() {
        for d in [0.0, -1e-6, -0.3, -1.0, -17.25, -80.0, -1000.0, 12.5] {
            let got = exp_scaled(d, 0.0);
            let log2 = f64::from(got.m).log2() + f64::from(got.e);
            let error = (log2 * std::f64::consts::LN_2 - f64::from(d)).abs();
            assert!(
                error < 2e-7 + 1e-8 * f64::from(d).abs(),
                "exp({d}): off by {error}"
            );
        }
    }

    #[test]
    fn zero_adds_nothing_and_stays_zero() {
        let half = Scaled { m: 1.0, e: -1.0 };
        assert_eq!(add3(half, SCALED_ZERO, SCALED_ZERO), half);
        let still = times(add2(SCALED_ZERO, SCALED_ZERO), half);
        assert_eq!(still.e, ZERO);
    }

    #[test]
    fn a_logarithm_near_probability_one_keeps_its_digits() {
        let p: f32 = 1.0 - 3.0e-6;
        let got = f64::from(minus_ln(normalised(p, 0.0)));
        let want = -f64::from(p).ln();
        assert!((got / want - 1.0).abs() < 1e-6, "{got} is not {want}");
    }

    #[test]
    fn a_power_of_two_is_exact_or_zero() {
        assert_eq!(power(0.0), 1.0);
        assert_eq!(power(-126.0), f32::MIN_POSITIVE);
        assert_eq!(power(-127.0), 0.0);
        assert_eq!(power(-3.0e38), 0.0);
        assert_eq!(power(5.0), 32.0);
    }
}
