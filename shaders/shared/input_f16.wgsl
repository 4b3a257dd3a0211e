// The caller's input, as f16. Returns the bits of an f32.
@group(0) @binding(1) var<storage, read> logits: array<f16>;

fn input_bits(at: u32) -> u32 {
    return widened(logits[at]);
}
