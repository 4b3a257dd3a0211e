// The caller's input, as vectors of four f16. Returns the bits of f32.
@group(0) @binding(1) var<storage, read> logits: array<vec4<f16>>;

fn input_bits(at: u32) -> u32 {
    return widened(logits[at / 4u][at % 4u]);
}

fn input_vector(index: u32) -> vec4<u32> {
    let v = logits[index];
    return vec4<u32>(widened(v.x), widened(v.y), widened(v.z), widened(v.w));
}
