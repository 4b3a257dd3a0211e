// The caller's input, as f32.
@group(0) @binding(1) var<storage, read> logits: array<u32>;

fn input_bits(at: u32) -> u32 {
    return logits[at];
}
