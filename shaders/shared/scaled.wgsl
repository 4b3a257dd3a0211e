// Scaled floats, four at once: probabilities m · 2^e, e an integer held in an f32. Twin of src/cpu/scaled.rs.
//
// e is exact to 2^24 and keeps a relative precision of 2^-24 beyond, so a loss of 1e30 nats is as fine as one of 10:
// nothing saturates on the way. 0 is any m with e = ZERO, far below all else: adding it adds exactly 0, without a test.
// There is no infinity, no NaN and no subnormal, none of which WGSL promises to keep.
//
// m is in [1, 2) after `normalised`. A sum takes no notice of it, only of e: m may grow and shrink for a few steps.
//
// Products that are added are written as fma: whether a driver contracts them must not tell two variants apart.

const ZERO: f32 = -1.0e38;
// Exponents of emissions stay within this, so that sums over 100,000 frames stay above ZERO.
const FAR: f32 = 1.0e33;

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts (Cody and Waite): the first has 10 bits, so e · LN2_HIGH is exact for |e| < 2^14.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

struct Scaled {
    m: vec4<f32>,
    e: vec4<f32>,
}

fn scaled_zero() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<f32>(ZERO));
}

fn scaled_one() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<f32>(0.0));
}

// 2^d for integral d, 0 below -126, no more than 2^127. Adding 2^23 leaves the integer in the low bits, so that
// no conversion is needed, which costs four times an addition on some GPUs. The clamp comes first: a driver may
// reassociate, and (a - b) + 127 as a - (b - 127) loses the 127 where b is large (llvmpipe does).
fn power(d: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(clamp(d, vec4<f32>(-127.0), vec4<f32>(127.0)) + vec4<f32>(8388735.0));
    return bitcast<vec4<f32>>(bits << vec4<u32>(23u));
}

// m · 2^e with m in [1, 2) again; m must be positive and normal.
fn normalised(a: Scaled) -> Scaled {
    let bits = bitcast<vec4<u32>>(a.m);
    let exponent = bitcast<vec4<f32>>((bits >> vec4<u32>(23u)) | vec4<u32>(0x4b000000u)) - vec4<f32>(8388735.0);
    let m = bitcast<vec4<f32>>((bits & vec4<u32>(0x007fffffu)) | vec4<u32>(0x3f800000u));
    return Scaled(m, max(a.e + exponent, vec4<f32>(ZERO)));
}

// a + b; m of the result is at most the sum of theirs.
fn plus(a: Scaled, b: Scaled) -> Scaled {
    let e = max(a.e, b.e);
    return Scaled(fma(a.m, power(a.e - e), b.m * power(b.e - e)), e);
}

fn times(a: Scaled, b: Scaled) -> Scaled {
    return Scaled(a.m * b.m, max(a.e + b.e, vec4<f32>(ZERO)));
}

// x / y of positive normal numbers, however far apart.
fn ratio(x: vec4<f32>, y: vec4<f32>) -> Scaled {
    let a = normalised(Scaled(x, vec4<f32>(0.0)));
    let b = normalised(Scaled(y, vec4<f32>(0.0)));
    return normalised(Scaled(a.m / b.m, a.e - b.e));
}

// a where it holds, else b.
fn either(a: Scaled, b: Scaled, holds: vec4<bool>) -> Scaled {
    return Scaled(select(b.m, a.m, holds), select(b.e, a.e, holds));
}

// exp(d + low), m in [0.7, 1.42]: e = round(d / ln 2), the rest by the polynomial of Cephes's expf. The drivers' own
// exp2 differ in their last bits, and WGSL promises few of them.
fn exp_scaled(d: vec4<f32>, low: vec4<f32>) -> Scaled {
    let e = clamp(floor(fma(d, vec4<f32>(LOG2_E), vec4<f32>(0.5))), vec4<f32>(-FAR), vec4<f32>(FAR));
    // The maximum never decides: it stands between the two parts, which a driver may otherwise add up first (llvmpipe's GL
    // does, and loses what the second one is for).
    let high = max(fma(-e, vec4<f32>(LN2_HIGH), d), vec4<f32>(-1.0e30));
    let r = clamp(fma(-e, vec4<f32>(LN2_LOW), high) + low, vec4<f32>(-0.4), vec4<f32>(0.4));
    var p = vec4<f32>(1.9875691500e-4);
    p = fma(p, r, vec4<f32>(1.3981999507e-3));
    p = fma(p, r, vec4<f32>(8.3334519073e-3));
    p = fma(p, r, vec4<f32>(4.1665795894e-2));
    p = fma(p, r, vec4<f32>(1.6666665459e-1));
    p = fma(p, r, vec4<f32>(5.0000001201e-1));
    return Scaled(fma(p, r * r, r) + vec4<f32>(1.0), e);
}

fn exp_plain(d: vec4<f32>) -> vec4<f32> {
    let s = exp_scaled(d, vec4<f32>(0.0));
    return s.m * power(s.e);
}

// x - top for a top that is not below x, held off infinity.
fn below(x: vec4<f32>, top: vec4<f32>) -> vec4<f32> {
    return 2.0 * max(0.5 * x - 0.5 * top, vec4<f32>(-1.0e37));
}

// exp(x - top) with what rounding took from the difference (Knuth's two-sum) put back.
fn exp_below(x: vec4<f32>, top: vec4<f32>) -> Scaled {
    let d = below(x, top);
    let back = d - x;
    let low = (x - (d - back)) - (top + back);
    return exp_scaled(d, select(vec4<f32>(0.0), low, abs(low) < vec4<f32>(1.0)));
}

// ln(1 + x) for 0 <= x <= 0.5, by the series of atanh: it keeps the digits of an x that 1 + x would lose.
fn ln_1_plus(x: vec4<f32>) -> vec4<f32> {
    let q = x / (2.0 + x);
    let q2 = q * q;
    return 2.0 * q * (1.0 + q2 * (0.33333333 + q2 * (0.2 + q2 * (0.14285714 + q2 * 0.11111111))));
}

// -ln(m · 2^e), m brought to [1/√2, √2] so that a probability near 1 keeps its digits; m must be in [1, 2).
fn minus_ln(s: Scaled) -> vec4<f32> {
    let high = s.m > vec4<f32>(1.41421356);
    let m = select(s.m, 0.5 * s.m, high);
    let e = select(s.e, s.e + 1.0, high);
    return -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)));
}

// ln(1 + x) for any x >= 0.
fn ln_1_plus_any(x: vec4<f32>) -> vec4<f32> {
    let large = -minus_ln(normalised(Scaled(vec4<f32>(1.0) + x, vec4<f32>(0.0))));
    return select(large, ln_1_plus(x), x < vec4<f32>(0.5));
}

// Bits where it holds, else 0. No selection: GLSL has none between vectors of integers or of truth values before 4.50, and
// OpenGL 4.3 is enough for us.
fn only(bits: vec4<u32>, holds: vec4<bool>) -> vec4<u32> {
    return bits & (vec4<u32>(0u) - vec4<u32>(holds));
}

// The bits of f32s that are neither infinite nor NaN. WGSL may assume that there are none: only bits tell.
fn finite(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4<u32>(0x7f800000u)) != vec4<u32>(0x7f800000u);
}

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
