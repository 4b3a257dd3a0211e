// The caller's input, f32.
@group(0) @binding(1) var<storage, read> input: array<u32>;

fn input_bits(at: u32) -> u32 {
    return input[at];
}
