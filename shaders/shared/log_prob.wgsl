// Logarithms of probabilities, in nats, from what `stats` found of a frame.

// What a score stays within.
const FAR: f32 = 1.0e33;

// What stands in the input, as a logarithm that lacks a number of the frame's; for a finite one.
fn score(bits: vec4<u32>) -> vec4<f32> {
    let x = bitcast<vec4<f32>>(only(bits, finite(bits)));
    if (INPUT == PROBS) {
        let y = biased(x);
        let some = max(y, vec4<f32>(SMALLEST));
        return select(vec4<f32>(NEVER), -minus_ln(normalised(Scaled(some, vec4<i32>(0)))), y >= vec4<f32>(SMALLEST));
    }
    return select(vec4<f32>(NEVER), clamp(x, vec4<f32>(-FAR), vec4<f32>(FAR)), finite(bits));
}

// The same of classes of a frame of this maximum; those too far below it count as impossible.
fn score_below(bits: vec4<u32>, top: f32) -> vec4<f32> {
    if (INPUT == PROBS) {
        return score(bits);
    }
    let x = bitcast<vec4<f32>>(only(bits, finite(bits)));
    let counts = finite(bits) & (depth(x, vec4<f32>(top)) > vec4<f32>(-LEAST));
    // Beside a maximum so large the digits of a sum over frames would be the maximum's.
    let offset = INPUT == LOGITS && abs(top) >= 16777216.0;
    let some = select(score(bits), below(x, vec4<f32>(top)), vec4<bool>(offset));
    return select(vec4<f32>(NEVER), some, counts);
}

// The same of all classes together: what a probability of 1 would have. Log-probabilities are taken as they are.
fn score_of_all(stats: vec2<f32>) -> f32 {
    if (is_log_probs()) {
        return 0.0;
    }
    var top = stats.x;
    if (INPUT == PROBS) {
        top = -minus_ln(normalised(Scaled(vec4<f32>(max(top, SMALLEST)), vec4<i32>(0)))).x;
    }
    return clamp(top, -FAR, FAR) + ln_1_plus_any(vec4<f32>(stats.y)).x;
}

// ln of the probability of a class: its entry's score without what all classes lack.
fn ln_probability(bits: u32, stats: vec2<f32>) -> f32 {
    let x = score(vec4<u32>(bits)).x;
    if (INPUT == LOGITS) {
        return min(below(vec4<f32>(x), vec4<f32>(stats.x)).x - ln_1_plus_any(vec4<f32>(stats.y)).x, 0.0);
    }
    return x - score_of_all(stats);
}
