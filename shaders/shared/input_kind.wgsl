// What the input holds: Input in src/options.rs.
const LOGITS: u32 = 0u;
const LOG_PROBS: u32 = 1u;
const LOG_PROBS_EXACT: u32 = 2u;
const PROBS: u32 = 3u;

override INPUT: u32 = 0u;

// ln of the probability of a class, near where it begins to count as 0.
fn depth(x: vec4<f32>, top: vec4<f32>) -> vec4<f32> {
    if (is_log_probs()) {
        return x;
    }
    return below(x, top);
}

fn is_log_probs() -> bool {
    return INPUT == LOG_PROBS || INPUT == LOG_PROBS_EXACT;
}

// p + ε; exactly 0 below the smallest normal number, where a device may take it for that.
fn biased(p: vec4<f32>) -> vec4<f32> {
    let y = p + params.epsilon;
    return select(vec4<f32>(0.0), y, abs(y) >= vec4<f32>(SMALLEST));
}
