// Scores, four at once: totals of logarithms with twice the digits of an f32, hi + lo. Of two paths whose scores differ by
// little after thousands of frames the better one must still win, as it does in the CPU backend's float64.
//
// No infinity, which WGSL does not promise to keep: NEVER is the score of what cannot be, and stays it.

const NEVER: f32 = -1.0e38;
// What a possible score stays within.
const FINITE: f32 = 5.0e37;

struct Pair {
    hi: vec4<f32>,
    lo: vec4<f32>,
}

fn never() -> Pair {
    return Pair(vec4<f32>(NEVER), vec4<f32>(0.0));
}

fn within(x: vec4<f32>) -> vec4<f32> {
    return clamp(x, vec4<f32>(-FINITE), vec4<f32>(FINITE));
}

fn possible(score: vec4<f32>) -> vec4<bool> {
    return score >= vec4<f32>(-FINITE);
}

// a + x, NEVER if either is.
fn pair_plus(a: Pair, x: vec4<f32>) -> Pair {
    let sum = held(within(a.hi + x));
    let low = held(lost(a.hi, x, sum) + a.lo);
    let hi = held(within(sum + low));
    let lo = low - held(hi - sum);
    let both = possible(a.hi) & possible(x);
    return Pair(select(vec4<f32>(NEVER), hi, both), select(vec4<f32>(0.0), lo, both));
}

fn better(a: Pair, b: Pair) -> vec4<bool> {
    return (a.hi > b.hi) | ((a.hi == b.hi) & (a.lo > b.lo));
}

// a where it holds, else b.
fn pick(a: Pair, b: Pair, holds: vec4<bool>) -> Pair {
    return Pair(select(b.hi, a.hi, holds), select(b.lo, a.lo, holds));
}
