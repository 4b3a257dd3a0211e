// The caller's input, f16, as the bits of an f32.
@group(0) @binding(1) var<storage, read> input: array<f16>;

fn input_bits(at: u32) -> u32 {
    return widened(input[at]);
}
