// The input, in the buffer that the gradient overwrites.
fn input_bits(at: u32) -> u32 {
    return widened(gradient[at]);
}
