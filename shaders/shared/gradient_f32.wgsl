// The caller's gradient, as f32.
@group(0) @binding(7) var<storage, read_write> gradient: array<u32>;

fn set_gradient(at: u32, value: f32) {
    gradient[at] = bitcast<u32>(value);
}

// Writes the bits, because WGSL does not guarantee that arithmetic preserves a NaN.
fn set_gradient_nan(at: u32) {
    gradient[at] = NAN;
}
