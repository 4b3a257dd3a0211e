// Double-float arithmetic on all components of `Floats` at once: sums of logarithms as high + low,
// with twice the digits of an f32. The better of two paths must be found even if their scores
// differ little after thousands of frames, as in the CPU backend, which uses float64.
//
// Infinity is not used, because WGSL does not guarantee to preserve it. IMPOSSIBLE_SCORE is the
// score of an impossible path, and a sum with it is IMPOSSIBLE_SCORE again.

const IMPOSSIBLE_SCORE: f32 = -1.0e38;
// The scores of possible paths are clamped to ±MAX_PATH_SCORE.
const MAX_PATH_SCORE: f32 = 5.0e37;

struct DoubleFloat {
    high: Floats,
    low: Floats,
}

fn impossible_score() -> DoubleFloat {
    return DoubleFloat(Floats(IMPOSSIBLE_SCORE), Floats(0.0));
}

fn clamp_score(x: Floats) -> Floats {
    return clamp(x, Floats(-MAX_PATH_SCORE), Floats(MAX_PATH_SCORE));
}

fn possible(score: Floats) -> Bools {
    return score >= Floats(-MAX_PATH_SCORE);
}

// a + x, or IMPOSSIBLE_SCORE if either is impossible.
fn double_plus(a: DoubleFloat, x: Floats) -> DoubleFloat {
    let sum = opaque(clamp_score(a.high + x));
    let rest = opaque(two_sum_error(a.high, x, sum) + a.low);
    let high = opaque(clamp_score(sum + rest));
    let low = rest - opaque(high - sum);
    let both = possible(a.high) & possible(x);
    return DoubleFloat(select(Floats(IMPOSSIBLE_SCORE), high, both), select(Floats(0.0), low, both));
}

fn is_greater(a: DoubleFloat, b: DoubleFloat) -> Bools {
    return (a.high > b.high) | ((a.high == b.high) & (a.low > b.low));
}

// a where the condition holds, else b.
fn select_double(a: DoubleFloat, b: DoubleFloat, condition: Bools) -> DoubleFloat {
    return DoubleFloat(select(b.high, a.high, condition), select(b.low, a.low, condition));
}
