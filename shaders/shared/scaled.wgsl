// Scaled floats: a probability m · 2^e, m in [1, 2) and e an integer held in an f32. Twin of src/cpu/scaled.rs.
//
// e is exact to 2^24 and keeps a relative precision of 2^-24 beyond, so a loss of 1e30 nats is as fine as one of 10:
// nothing saturates on the way. 0 is any m with e = ZERO, far below all else: adding it adds exactly 0, without a test.
// There is no infinity, no NaN and no subnormal, none of which WGSL promises to keep.

const ZERO: f32 = -1.0e38;
// Exponents of emissions stay within this, so that sums over 100,000 frames stay above ZERO.
const FAR: f32 = 1.0e33;

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts (Cody and Waite): the first has 10 bits, so e · LN2_HIGH is exact for |e| < 2^14.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

struct Scaled {
    m: f32,
    e: f32,
}

fn scaled_zero() -> Scaled {
    return Scaled(1.0, ZERO);
}

fn scaled_one() -> Scaled {
    return Scaled(1.0, 0.0);
}

// 2^d for integral d, 0 below -126, no more than 2^127. Adding 2^23 leaves the integer in the low bits, so that
// no conversion is needed, which costs four times an addition on some GPUs. The clamp comes first: a driver may
// reassociate, and (a - b) + 127 as a - (b - 127) loses the 127 where b is large (llvmpipe does).
fn power(d: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(clamp(d, -127.0, 127.0) + 8388735.0) << 23u);
}

// m · 2^e with m in [1, 2) again; m must be positive and normal.
fn normalised(m: f32, e: f32) -> Scaled {
    let bits = bitcast<u32>(m);
    let exponent = bitcast<f32>((bits >> 23u) | 0x4b000000u) - 8388735.0;
    return Scaled(bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u), max(e + exponent, ZERO));
}

// a + b; m of the result is in [1, 4): multiply it or normalise it.
fn add2(a: Scaled, b: Scaled) -> Scaled {
    let e = max(a.e, b.e);
    return Scaled(a.m * power(a.e - e) + b.m * power(b.e - e), e);
}

// a + b + c; m of the result is in [1, 6).
fn add3(a: Scaled, b: Scaled, c: Scaled) -> Scaled {
    let e = max(max(a.e, b.e), c.e);
    return Scaled(a.m * power(a.e - e) + b.m * power(b.e - e) + c.m * power(c.e - e), e);
}

fn times(a: Scaled, b: Scaled) -> Scaled {
    return normalised(a.m * b.m, a.e + b.e);
}

// exp(d + low): e = round(d / ln 2), the rest by the polynomial of Cephes's expf. The drivers' own exp2 differ in
// their last bits, and WGSL promises few of them.
fn exp_scaled(d: f32, low: f32) -> Scaled {
    let e = clamp(floor(d * LOG2_E + 0.5), -FAR, FAR);
    let r = clamp(((d - e * LN2_HIGH) - e * LN2_LOW) + low, -0.4, 0.4);
    var p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    return Scaled(p * r * r + r + 1.0, e);
}

fn exp_plain(d: f32) -> f32 {
    let s = exp_scaled(d, 0.0);
    return s.m * power(s.e);
}

// x - top for a top that is not below x, held off infinity.
fn below(x: f32, top: f32) -> f32 {
    return 2.0 * max(0.5 * x - 0.5 * top, -1.0e37);
}

// exp(x - top) with what rounding took from the difference (Knuth's two-sum) put back.
fn exp_below(x: f32, top: f32) -> Scaled {
    let d = below(x, top);
    let back = d - x;
    let low = (x - (d - back)) - (top + back);
    return exp_scaled(d, select(0.0, low, abs(low) < 1.0));
}

// ln(1 + x) for 0 <= x <= 0.5, by the series of atanh: it keeps the digits of an x that 1 + x would lose.
fn ln_1_plus(x: f32) -> f32 {
    let q = x / (2.0 + x);
    let q2 = q * q;
    return 2.0 * q * (1.0 + q2 * (0.33333333 + q2 * (0.2 + q2 * (0.14285714 + q2 * 0.11111111))));
}

// -ln(m · 2^e), m brought to [1/√2, √2] so that a probability near 1 keeps its digits.
fn minus_ln(s: Scaled) -> f32 {
    let high = s.m > 1.41421356;
    let m = select(s.m, 0.5 * s.m, high);
    let e = select(s.e, s.e + 1.0, high);
    return -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)));
}

// The bits of an f32 that is neither infinite nor NaN. WGSL may assume that there are none: only bits tell.
fn is_finite(bits: u32) -> bool {
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// The smallest normal number, rounded up: nothing is divided by less.
const SMALLEST: f32 = 1.2e-38;
// The most negative number: below every exponent and every logit.
const LOWEST: f32 = -3.4028234e38;

const MINUS_INFINITY: u32 = 0xff800000u;
const INFINITY: u32 = 0x7f800000u;
const NAN: u32 = 0x7fc00000u;
