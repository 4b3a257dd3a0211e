// What the input holds: Input in src/options.rs.
const LOGITS: u32 = 0u;
const LOG_PROBS: u32 = 1u;
const LOG_PROBS_EXACT: u32 = 2u;
const PROBS: u32 = 3u;

override INPUT: u32 = 0u;
