// Scaled floats, four at once: probabilities m · 2^e. Twin of src/cpu/scaled.rs.
//
// e is an integer, so totals of exponents are exact down to ZERO, which is far below e^-2^28, the least
// probability that counts. 0 is any m with e = ZERO: adding it adds exactly 0, without a test.
// There is no infinity, no NaN and no subnormal, none of which WGSL promises to keep.
//
// m is in [1, 2) after `normalised`. `plus` compares only exponents: m may grow and shrink for a few steps.
//
// Products that are added are written as fma: whether a driver contracts them must not tell two variants apart.

// The sum of two is still an i32.
const ZERO: i32 = -536870912;
// A probability of e^-LEAST or less counts as 0: 2^28 nats. ZERO is 3.7e8 nats below 1.
const LEAST: f32 = 268435456.0;
// No f32 holds the probability of a log-probability above this.
const MOST: f32 = 88.0;
// How far apart two log-probabilities that count may be, and somewhat more.
const FARTHEST: f32 = 268435712.0;

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts (Cody and Waite): the first has 9 bits, so e · LN2_HIGH is exact for |e| < 2^15.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

struct Scaled {
    m: vec4<f32>,
    e: vec4<i32>,
}

fn scaled_zero() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<i32>(ZERO));
}

fn scaled_one() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<i32>(0));
}

// 2^d, 0 below -126; d must be at most 127.
fn power(d: vec4<i32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(max(d, vec4<i32>(-127)) + vec4<i32>(127)) << vec4<u32>(23u));
}

// m · 2^e with m in [1, 2) again; m must be positive and normal.
fn normalised(a: Scaled) -> Scaled {
    let bits = bitcast<vec4<u32>>(a.m);
    let exponent = vec4<i32>(bits >> vec4<u32>(23u)) - vec4<i32>(127);
    let m = bitcast<vec4<f32>>((bits & vec4<u32>(0x007fffffu)) | vec4<u32>(0x3f800000u));
    return Scaled(m, max(a.e + exponent, vec4<i32>(ZERO)));
}

// a + b; m of the result is at most the sum of theirs.
fn plus(a: Scaled, b: Scaled) -> Scaled {
    let e = max(a.e, b.e);
    return Scaled(fma(a.m, power(a.e - e), b.m * power(b.e - e)), e);
}

fn times(a: Scaled, b: Scaled) -> Scaled {
    return Scaled(a.m * b.m, max(a.e + b.e, vec4<i32>(ZERO)));
}

// x / y of positive normal numbers, however far apart.
fn ratio(x: vec4<f32>, y: vec4<f32>) -> Scaled {
    let a = normalised(Scaled(x, vec4<i32>(0)));
    let b = normalised(Scaled(y, vec4<i32>(0)));
    return normalised(Scaled(a.m / b.m, a.e - b.e));
}

// x by way of its bits. A compiler may treat totals as algebra and turn (a + b) - a into b, as NVIDIA's does; it does not look
// through an integer. The minimum never decides: the bits of no finite number are larger.
fn held(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(x), vec4<u32>(0xff7fffffu)));
}

// What rounding took from a + b (Knuth's two-sum): a + b - sum, exactly. `sum` is a + b, held.
fn lost(a: vec4<f32>, b: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let back = held(sum - a);
    return held(a - held(sum - back)) + held(b - back);
}

// a where it holds, else b; by components, since GLSL selects no vectors of integers before 4.50.
fn chosen(a: vec4<i32>, b: vec4<i32>, holds: vec4<bool>) -> vec4<i32> {
    return vec4<i32>(
        select(b.x, a.x, holds.x),
        select(b.y, a.y, holds.y),
        select(b.z, a.z, holds.z),
        select(b.w, a.w, holds.w),
    );
}

fn either(a: Scaled, b: Scaled, holds: vec4<bool>) -> Scaled {
    return Scaled(select(b.m, a.m, holds), chosen(a.e, b.e, holds));
}

// |d| beyond which exp(d) is taken in two steps: up to here e · LN2_LOW is rounded by less than 2^-25.
const NEAR: f32 = 512.0;

// Whole powers of two in exp(d), and what is left of d.
struct Powers {
    d: vec4<f32>,
    e: vec4<i32>,
}

// exp(d) = exp(r.d) · 2^r.e for |d| <= FARTHEST, |r.d| < 2. Integers throughout: they need no fma, and no driver
// reorders them. whole · (log2(e) - 1) in digits of 14 bits; the fourth digit's error is below 2^-26.
fn whole_powers(d: vec4<f32>) -> Powers {
    let far = abs(d);
    let whole = floor(far);
    let n = vec4<u32>(min(whole, vec4<f32>(FARTHEST)));
    let high = n >> vec4<u32>(14u);
    let low = n & vec4<u32>(16383u);
    let d4 = high * 12257u + low * 2784u;
    let d3 = high * 2784u + low * 1893u + (d4 >> vec4<u32>(14u));
    let d2 = high * 1893u + low * 7253u + (d3 >> vec4<u32>(14u));
    let d1 = high * 7253u + (d2 >> vec4<u32>(14u));
    let digits = ((d2 & vec4<u32>(16383u)) << vec4<u32>(14u)) | (d3 & vec4<u32>(16383u));
    let rest = fma(vec4<f32>(digits), vec4<f32>(2.5821745e-9), far - whole);
    let e = vec4<i32>(n + d1);
    let down = d < vec4<f32>(0.0);
    return Powers(select(rest, -rest, down), chosen(-e, e, down));
}

// exp(d + low), m in [0.7, 1.42]: e = round(d / ln 2), the rest by the polynomial of Cephes's expf. The drivers' own exp2
// differ in their last bits, and WGSL promises few of them.
fn exp_near(d: vec4<f32>, low: vec4<f32>) -> Scaled {
    let e = floor(fma(d + low, vec4<f32>(LOG2_E), vec4<f32>(0.5)));
    // Else a driver adds up the two parts first (llvmpipe's GL does), and loses what the second one is for.
    let high = held(fma(-e, vec4<f32>(LN2_HIGH), d));
    let r = clamp(fma(-e, vec4<f32>(LN2_LOW), high) + low, vec4<f32>(-0.4), vec4<f32>(0.4));
    var p = vec4<f32>(1.9875691500e-4);
    p = fma(p, r, vec4<f32>(1.3981999507e-3));
    p = fma(p, r, vec4<f32>(8.3334519073e-3));
    p = fma(p, r, vec4<f32>(4.1665795894e-2));
    p = fma(p, r, vec4<f32>(1.6666665459e-1));
    p = fma(p, r, vec4<f32>(5.0000001201e-1));
    return Scaled(fma(p, r * r, r) + vec4<f32>(1.0), vec4<i32>(e));
}

// The same for any |d| <= FARTHEST; beyond, as of FARTHEST.
fn exp_scaled(d: vec4<f32>, low: vec4<f32>) -> Scaled {
    let is_far = abs(d) > vec4<f32>(NEAR);
    if (!any(is_far)) {
        return exp_near(d, low);
    }
    let far = whole_powers(d);
    let near = exp_near(select(d, far.d, is_far), low);
    return Scaled(near.m, near.e + chosen(far.e, vec4<i32>(0), is_far));
}

// 0 below the smallest normal number; d must be at most 88.
fn exp_plain(d: vec4<f32>) -> vec4<f32> {
    let s = exp_near(max(d, vec4<f32>(-128.0)), vec4<f32>(0.0));
    return s.m * power(s.e);
}

// x - top for a top that is not below x, held off infinity.
fn below(x: vec4<f32>, top: vec4<f32>) -> vec4<f32> {
    return 2.0 * max(0.5 * x - 0.5 * top, vec4<f32>(-1.0e37));
}

// exp(x - top) with what rounding took from the difference put back, for a difference that counts.
fn exp_below(x: vec4<f32>, top: vec4<f32>) -> Scaled {
    let d = held(below(x, top));
    let low = lost(x, -top, d);
    return exp_scaled(d, select(vec4<f32>(0.0), low, abs(low) <= vec4<f32>(16.0)));
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
    let e = vec4<f32>(s.e + vec4<i32>(high));
    return -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)));
}

// ln(1 + x) for any x >= 0.
fn ln_1_plus_any(x: vec4<f32>) -> vec4<f32> {
    let large = -minus_ln(normalised(Scaled(vec4<f32>(1.0) + x, vec4<i32>(0))));
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
