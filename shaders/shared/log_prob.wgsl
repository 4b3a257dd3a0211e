// Log-probabilities and scores, in nats. A score is a log-probability plus a constant of the frame,
// so that scores of paths compare as their probabilities do. `stats` is an element of row_stats.

// The score of a single entry is clamped to ±MAX_FRAME_SCORE.
const MAX_FRAME_SCORE: f32 = 1.0e33;

// The score of an entry of the input.
fn score(bits: Words) -> Floats {
    let x = bitcast<Floats>(bits_where(bits, finite(bits)));
    if (INPUT == PROBS) {
        let y = add_epsilon(x);
        let finite_score = max(y, Floats(MIN_PROB));
        return select(
            Floats(IMPOSSIBLE_SCORE),
            -minus_ln(normalised(Scaled(finite_score, Ints(0)))),
            y >= Floats(MIN_PROB),
        );
    }
    return select(
        Floats(IMPOSSIBLE_SCORE),
        clamp(x, Floats(-MAX_FRAME_SCORE), Floats(MAX_FRAME_SCORE)),
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
fn score_in_frame(bits: Words, row_max: f32) -> Floats {
    if (INPUT == PROBS) {
        return score(bits);
    }
    let x = bitcast<Floats>(bits_where(bits, finite(bits)));
    let counts = finite(bits) & (relative_log_prob(x, Floats(row_max)) > Floats(-MAX_NATS));
    let relative = minus_max(x, Floats(row_max));
    let finite_score = select(score(bits), relative, Bools(scores_are_relative(row_max)));
    return select(Floats(IMPOSSIBLE_SCORE), finite_score, counts);
}

// The score of a probability of 1: the logarithm of the sum over all classes. Log-probabilities are
// not normalised again.
fn log_sum_score(stats: vec2<f32>) -> Floats {
    if (is_log_probs()) {
        return Floats(0.0);
    }
    var row_max = Floats(select(stats.x, 0.0, scores_are_relative(stats.x)));
    if (INPUT == PROBS) {
        row_max = -minus_ln(normalised(Scaled(max(row_max, Floats(MIN_PROB)), Ints(0))));
    }
    let clamped = clamp(row_max, Floats(-MAX_FRAME_SCORE), Floats(MAX_FRAME_SCORE));
    return clamped + ln_1_plus_any(Floats(stats.y));
}

// The log-probability of a class.
fn class_log_prob(bits: u32, stats: vec2<f32>) -> Floats {
    let x = score(Words(bits));
    if (INPUT == LOGITS) {
        return min(minus_max(x, Floats(stats.x)) - ln_1_plus_any(Floats(stats.y)), Floats(0.0));
    }
    return x - log_sum_score(stats);
}
