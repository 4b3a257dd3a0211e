// Log-probabilities and scores, in nats. A score is a log-probability plus a constant of the frame,
// so that scores of paths compare as their probabilities do. `stats` is an element of row_stats.

// The score of a single entry is clamped to ±MAX_FRAME_SCORE.
const MAX_FRAME_SCORE: f32 = 1.0e33;

// The score of an entry of the input.
fn score(bits: vec4<u32>) -> vec4<f32> {
    let x = bitcast<vec4<f32>>(bits_where(bits, finite(bits)));
    if (INPUT == PROBS) {
        let y = add_epsilon(x);
        let finite_score = max(y, vec4<f32>(MIN_PROB));
        return select(
            vec4<f32>(IMPOSSIBLE_SCORE),
            -minus_ln(normalised(Scaled(finite_score, vec4<i32>(0)))),
            y >= vec4<f32>(MIN_PROB),
        );
    }
    return select(
        vec4<f32>(IMPOSSIBLE_SCORE),
        clamp(x, vec4<f32>(-MAX_FRAME_SCORE), vec4<f32>(MAX_FRAME_SCORE)),
        finite(bits),
    );
}

// Returns true if the scores of a frame are relative to its maximum. If the maximum is large, sums
// over frames would otherwise lose the digits that distinguish classes.
fn scores_are_relative(row_max: f32) -> bool {
    return INPUT == LOGITS && abs(row_max) >= 16777216.0;
}

// The score of entries of a frame whose maximum is `row_max`. Entries too far below it are
// impossible.
fn score_in_frame(bits: vec4<u32>, row_max: f32) -> vec4<f32> {
    if (INPUT == PROBS) {
        return score(bits);
    }
    let x = bitcast<vec4<f32>>(bits_where(bits, finite(bits)));
    let counts = finite(bits) & (relative_log_prob(x, vec4<f32>(row_max)) > vec4<f32>(-MAX_NATS));
    let relative = minus_max(x, vec4<f32>(row_max));
    let finite_score = select(score(bits), relative, vec4<bool>(scores_are_relative(row_max)));
    return select(vec4<f32>(IMPOSSIBLE_SCORE), finite_score, counts);
}

// The score of a probability of 1: the logarithm of the sum over all classes. Log-probabilities are
// not normalised again.
fn log_sum_score(stats: vec2<f32>) -> f32 {
    if (is_log_probs()) {
        return 0.0;
    }
    var row_max = select(stats.x, 0.0, scores_are_relative(stats.x));
    if (INPUT == PROBS) {
        row_max = -minus_ln(normalised(Scaled(vec4<f32>(max(row_max, MIN_PROB)), vec4<i32>(0)))).x;
    }
    return clamp(row_max, -MAX_FRAME_SCORE, MAX_FRAME_SCORE) + ln_1_plus_any(vec4<f32>(stats.y)).x;
}

// The log-probability of a class.
fn class_log_prob(bits: u32, stats: vec2<f32>) -> f32 {
    let x = score(vec4<u32>(bits)).x;
    if (INPUT == LOGITS) {
        return min(
            minus_max(vec4<f32>(x), vec4<f32>(stats.x)).x - ln_1_plus_any(vec4<f32>(stats.y)).x,
            0.0,
        );
    }
    return x - log_sum_score(stats);
}
