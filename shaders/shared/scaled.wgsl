// Scaled floats: probabilities as m · 2^e. A value of type `Scaled` has one per component of
// `Floats`, which the file pairs_*.wgsl before this one declares. The constants must match
// src/cpu/scaled.rs, whose exponential uses another polynomial.
//
// e is an integer, so sums of exponents are exact. The exponent of a state is that of its
// probability plus ONE_STATE, so that states and products use the whole range of an i32. A
// probability of exp(-MAX_NATS) or less counts as 0. The exponents of 0 are so far below it that
// adding a 0 does not change a larger probability, so no branch is needed. Infinities, NaN and
// subnormal numbers are not used, because WGSL does not guarantee to preserve them.
//
// m is in [1, 2) after `normalised`. `plus` does not need this range, because it compares only
// exponents, so a few steps may run before m is normalised.
//
// The sums of products in the recursion and in the exponentials are written as fma. Otherwise
// drivers decide whether to contract them, and two variants of a kernel could differ in their
// results.

// A probability of exp(-MAX_NATS) or less counts as 0: 2^30 nats, which are 1.549e9 bits.
const MAX_NATS: f32 = 1073741824.0;
// The exponents of a state of probability 1 and of probability 0: 2^30 - 2^25 and -2^29. A state
// may exceed ONE_STATE, because the sum over paths may grow by log2(3) per frame. All bounds hold
// for a growth of up to 2^24, which takes 1e7 frames.
const ONE_STATE: i32 = 1040187392;
const ZERO_STATE: i32 = -536870912;
// The exponent of an emission of 0: -3 · 2^29 + 2^20. A state of probability 1 with this emission
// is 0. The sum of ZERO_STATE and ZERO_EMISSION fits in an i32, also after `normalised`, which may
// lower the exponent of a state below ZERO_STATE by a few.
const ZERO_EMISSION: i32 = -1609564160;
// Log-probabilities above this are invalid: the exponential of 89 overflows f32.
const MAX_LOG_PROB: f32 = 88.0;
// The largest difference of two log-probabilities above -MAX_NATS, with a margin.
const MAX_ABS_EXPONENT: f32 = 1073742080.0;

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts (Cody and Waite). The first has 9 bits, so e · LN2_HIGH is exact for |e| <
// 2^15.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

struct Scaled {
    m: Floats,
    e: Ints,
}

// A single scaled float.
struct ScaledNumber {
    m: f32,
    e: i32,
}

fn zero_state() -> Scaled {
    return Scaled(Floats(1.0), Ints(ZERO_STATE));
}

fn one_state() -> Scaled {
    return Scaled(Floats(1.0), Ints(ONE_STATE));
}

// 2^d; 0 if d is below -126. d must be at most 127.
fn exp2_int(d: Ints) -> Floats {
    return bitcast<Floats>(Words(max(d, Ints(-127)) + Ints(127)) << Words(23u));
}

// The same number with m in [1, 2). m must be positive and normal.
fn normalised(a: Scaled) -> Scaled {
    let bits = bitcast<Words>(a.m);
    let exponent = Ints(bits >> Words(23u)) - Ints(127);
    let m = bitcast<Floats>((bits & Words(0x007fffffu)) | Words(0x3f800000u));
    return Scaled(m, a.e + exponent);
}

// a + b. m of the result is at most the sum of both m.
fn plus(a: Scaled, b: Scaled) -> Scaled {
    let e = max(a.e, b.e);
    return Scaled(fma(a.m, exp2_int(a.e - e), b.m * exp2_int(b.e - e)), e);
}

// The product of a state and an emission.
fn times_emission(state: Scaled, emission: Scaled) -> Scaled {
    return Scaled(state.m * emission.m, max(state.e + emission.e, Ints(ZERO_STATE)));
}

// x / y of positive normal numbers of any size.
fn ratio(x: Floats, y: Floats) -> Scaled {
    let a = normalised(Scaled(x, Ints(0)));
    let b = normalised(Scaled(y, Ints(0)));
    return normalised(Scaled(a.m / b.m, a.e - b.e));
}

// Returns x, after an operation on its bits that has no effect: the bits of every finite number are
// at most 0xff7fffff. Compilers may simplify (a + b) - a to b, as NVIDIA's does, but they do not
// simplify across an operation on integers.
fn opaque(x: Floats) -> Floats {
    return bitcast<Floats>(min(bitcast<Words>(x), Words(0xff7fffffu)));
}

// The rounding error of a + b (Knuth's two-sum): exactly a + b - sum, where `sum` is opaque(a + b).
fn two_sum_error(a: Floats, b: Floats, sum: Floats) -> Floats {
    let back = opaque(sum - a);
    return opaque(a - opaque(sum - back)) + opaque(b - back);
}

// a where the condition holds, else b.
fn select_scaled(a: Scaled, b: Scaled, condition: Bools) -> Scaled {
    return Scaled(select(b.m, a.m, condition), select_ints(a.e, b.e, condition));
}

// The largest |d| for which exp(d) is computed directly: with e = d / ln 2, the rounding error of
// e · LN2_LOW is below 2^-25. For a larger |d| it is computed in two steps.
const MAX_DIRECT: f32 = 512.0;

// The exponent e of the power of two in exp(d), and the remainder of d.
struct Powers {
    d: Floats,
    e: Ints,
}

// Returns r with exp(d) = exp(r.d) · 2^r.e and |r.d| < 2, for |d| <= MAX_ABS_EXPONENT. For d >= 0,
// r.e is n / ln 2 rounded down, where n is the whole part of d, and r.d is d - r.e · ln 2. For
// d < 0, both are the negated results for |d|. n / ln 2 is computed as n + n · (1 / ln 2 - 1). The
// product is computed with integers, in base 2^14, so that it is the same on every driver. Its
// fraction has 28 bits and an error below 2^-26.
fn whole_powers(d: Floats) -> Powers {
    let far = abs(d);
    let whole = floor(far);
    let n = Words(min(whole, Floats(MAX_ABS_EXPONENT)));
    let high = n >> Words(14u);
    let low = n & Words(16383u);
    let d4 = high * 12257u + low * 2784u;
    let d3 = high * 2784u + low * 1893u + (d4 >> Words(14u));
    let d2 = high * 1893u + low * 7253u + (d3 >> Words(14u));
    let d1 = high * 7253u + (d2 >> Words(14u));
    let digits = ((d2 & Words(16383u)) << Words(14u)) | (d3 & Words(16383u));
    let rest = fma(Floats(digits), Floats(2.5821745e-9), far - whole);
    let e = Ints(n + d1);
    let down = d < Floats(0.0);
    return Powers(select(rest, -rest, down), select_ints(-e, e, down));
}

// exp(d + low), with m in [0.7, 1.42]. The exponent is (d + low) / ln 2, rounded, and m is the
// polynomial of Cephes's expf for the remainder. exp2 is not used, because WGSL guarantees little
// precision for it, and the last bits of its result differ between drivers.
fn exp_near(d: Floats, low: Floats) -> Scaled {
    let e = floor(fma(d + low, Floats(LOG2_E), Floats(0.5)));
    // Without `opaque`, a driver may add the two parts of ln 2 first, as llvmpipe's GL does, which
    // makes the second part useless.
    let high = opaque(fma(-e, Floats(LN2_HIGH), d));
    let r = clamp(fma(-e, Floats(LN2_LOW), high) + low, Floats(-0.4), Floats(0.4));
    var p = Floats(1.9875691500e-4);
    p = fma(p, r, Floats(1.3981999507e-3));
    p = fma(p, r, Floats(8.3334519073e-3));
    p = fma(p, r, Floats(4.1665795894e-2));
    p = fma(p, r, Floats(1.6666665459e-1));
    p = fma(p, r, Floats(5.0000001201e-1));
    return Scaled(fma(p, r * r, r) + Floats(1.0), Ints(e));
}

// exp(d + low) for any |d| <= MAX_ABS_EXPONENT. A larger |d| counts as MAX_ABS_EXPONENT.
fn exp_scaled(d: Floats, low: Floats) -> Scaled {
    let is_far = abs(d) > Floats(MAX_DIRECT);
    if (!any_of(is_far)) {
        return exp_near(d, low);
    }
    let far = whole_powers(d);
    let near = exp_near(select(d, far.d, is_far), low);
    return Scaled(near.m, near.e + select_ints(far.e, Ints(0), is_far));
}

// exp(x), given the bits of x; 0 below about 2^-126, the smallest normal number, and for an x of
// -inf or a negative NaN. A larger x than 88 counts as 88.
fn exp_plain(bits: Words) -> Floats {
    // As integers, the bits of all numbers above 88 are larger than those of 88, and as unsigned
    // ones, those of all numbers below -128 are larger than those of -128.
    let highest = bitcast<Ints>(Floats(MAX_LOG_PROB));
    let lowest = bitcast<Words>(Floats(-128.0));
    let below = bitcast<Words>(min(bitcast<Ints>(bits), highest));
    let s = exp_near(bitcast<Floats>(min(below, lowest)), Floats(0.0));
    return s.m * exp2_int(s.e);
}

// 44, the largest half difference of `exp_below`, as bits.
const FARTHEST: u32 = 0x42300000u;
// 2^23 + 2^22 + 127. A sum near it is rounded to an integer, since the floats there are 1 apart.
const TO_INTEGER: f32 = 12583039.0;

// Half of a maximum, for `exp_below`. Rounded up by 2^-125, so that the difference is not negative
// if a device flushes subnormal numbers in some operations only; this changes no larger maximum.
fn half_maximum(row_max: Floats) -> Floats {
    return fma(Floats(0.5), row_max, Floats(2.4e-38));
}

// exp(x - row_max), for x of at most row_max; 0 below about 2^-126, and for an x of -inf. The half
// of the difference does not overflow. Bits of which it is not the half of a difference from 0 to
// 88 count as 88, so that the result is between 0 and 1 for any bits of x, NaN among them.
//
// The exponential is 2^n · exp(-2 r), where n is the difference / ln 2, rounded, and r is half of
// what remains. The polynomial has the least relative error for |r| <= ln 2 / 4 of those that are 1
// at 0. The relative error of a result is below 1.2e-7, also where a device rounds the product of
// an fma. `exp2` is not used: WGSL guarantees a relative error of (3 + 2 |n|) · 2^-23. For a row of
// 5,000 classes, all but one of which have e^-8.5 times the probability of that one, this is 3e-6
// in the sum and 2e-6 in the loss.
fn exp_below(x: Floats, half_max: Floats) -> Floats {
    let half_difference = fma(Floats(-0.5), x, half_max);
    let d = bitcast<Floats>(min(bitcast<Words>(half_difference), Words(FARTHEST)));
    // Not `round`, which has an eighth of the rate on NVIDIA. The lowest bits are those of n + 127.
    let biased = opaque(fma(d, Floats(-2.0 * LOG2_E), Floats(TO_INTEGER)));
    let n = biased - Floats(TO_INTEGER);
    let r = fma(n, Floats(0.5 * LN2_LOW), fma(n, Floats(0.5 * LN2_HIGH), d));
    var p = Floats(8.85993832e-2);
    p = fma(p, r, Floats(-2.67972971e-1));
    p = fma(p, r, Floats(6.66688033e-1));
    p = fma(p, r, Floats(-1.33331450));
    p = fma(p, r, Floats(1.99999977));
    p = fma(p, r, Floats(-2.00000006));
    p = fma(p, r, Floats(1.0));
    return p * bitcast<Floats>(bitcast<Words>(biased) << Words(23u));
}

// x - row_max, for a row_max that is at least x. Clamped, so that it is never infinite.
fn minus_max(x: Floats, row_max: Floats) -> Floats {
    return 2.0 * max(0.5 * x - 0.5 * row_max, Floats(-1.0e37));
}

// exp(x - row_max). Compensates the rounding error of the difference. This error is at most 64 for
// differences up to MAX_ABS_EXPONENT; larger errors are not compensated.
fn exp_minus_max(x: Floats, row_max: Floats) -> Scaled {
    let d = opaque(minus_max(x, row_max));
    let low = two_sum_error(x, -row_max, d);
    return exp_scaled(d, select(Floats(0.0), low, abs(low) <= Floats(64.0)));
}

// ln(1 + x) for |x| <= 0.5, by the series of atanh, which keeps the digits of x that 1 + x would
// lose.
fn ln_1_plus(x: Floats) -> Floats {
    let q = x / (2.0 + x);
    let q2 = q * q;
    return 2.0 * q * (1.0 + q2 * (0.33333333 + q2 * (0.2 + q2 * (0.14285714 + q2 * 0.11111111))));
}

// -ln(m · 2^e). Moves m to [1/√2, √2], so that a probability near 1 keeps its digits. m must be in
// [1, 2).
fn minus_ln(s: Scaled) -> Floats {
    let high = s.m > Floats(1.41421356);
    let m = select(s.m, 0.5 * s.m, high);
    let e = Floats(s.e + Ints(high));
    return -(e * LN2_HIGH + (e * LN2_LOW + ln_1_plus(m - 1.0)));
}

// ln(1 + x) for any x >= 0.
fn ln_1_plus_any(x: Floats) -> Floats {
    let large = -minus_ln(normalised(Scaled(Floats(1.0) + x, Ints(0))));
    return select(large, ln_1_plus(x), x < Floats(0.5));
}

// The bits where the condition holds, else 0. Not a `select`, because GLSL before 4.50 cannot
// select between vectors of integers or booleans, and the kernels must run on OpenGL 4.3.
fn bits_where(bits: Words, condition: Bools) -> Words {
    return bits & (Words(0u) - Words(condition));
}

// True for the bits of an f32 that is neither infinite nor NaN. Tests the bits, because WGSL
// implementations may assume that floats are finite.
fn finite(bits: Words) -> Bools {
    return (bits & Words(0x7f800000u)) != Words(0x7f800000u);
}

fn is_finite(bits: u32) -> bool {
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// The smallest normal number, rounded up. Divisors are at least this.
const MIN_PROB: f32 = 1.2e-38;
// The lowest finite number, from which maxima start.
const LOWEST: f32 = -3.4028234e38;
const LOWEST_BITS: u32 = 0xff7fffffu;
const HIGHEST_BITS: i32 = 0x7f7fffff;

const MINUS_INFINITY: u32 = 0xff800000u;
const PLUS_INFINITY: u32 = 0x7f800000u;
const INFINITY: u32 = 0x7f800000u;
const NAN: u32 = 0x7fc00000u;
