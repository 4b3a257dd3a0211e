// The caller's input, as vectors of four f32. Returns the bits of f32.
@group(0) @binding(1) var<storage, read> logits: array<vec4<u32>>;

fn input_bits(at: u32) -> u32 {
    return logits[at / 4u][at % 4u];
}

fn input_vector(index: u32) -> vec4<u32> {
    return logits[index];
}
