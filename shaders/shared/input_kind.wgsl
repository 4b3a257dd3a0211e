// The kind of the input, `Input` in src/options.rs. Must match `input_kind` in src/plan/build.rs.
const LOGITS: u32 = 0u;
const LOG_PROBS: u32 = 1u;
const LOG_PROBS_EXACT: u32 = 2u;
const PROBS: u32 = 3u;

override INPUT: u32 = 0u;

// The log-probability of a class, for comparison with the threshold below which a probability
// counts as 0. For logits, the logarithm of the sum is not subtracted: it is small compared with
// the threshold.
fn relative_log_prob(x: Floats, row_max: Floats) -> Floats {
    if (is_log_probs()) {
        return x;
    }
    return minus_max(x, row_max);
}

fn is_log_probs() -> bool {
    return INPUT == LOG_PROBS || INPUT == LOG_PROBS_EXACT;
}

// p + ε; exactly 0 below the smallest normal number, because devices may flush such numbers to 0.
fn add_epsilon(p: Floats) -> Floats {
    let y = p + params.epsilon;
    return select(Floats(0.0), y, abs(y) >= Floats(MIN_PROB));
}
