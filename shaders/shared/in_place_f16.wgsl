// The gradient lies where the input does.
fn input_bits(at: u32) -> u32 {
    return widened(gradient[at]);
}
