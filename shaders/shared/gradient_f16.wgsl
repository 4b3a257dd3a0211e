// The caller's gradient, as f16.
@group(0) @binding(7) var<storage, read_write> gradient: array<f16>;

fn set_gradient(at: u32, value: f32) {
    gradient[at] = f16(value);
}

// The bits come from a uniform (`params.unused` is 0), because compilers reject a constant NaN.
fn set_gradient_nan(at: u32) {
    gradient[at] = f16(unpack2x16float(0x7e00u | params.unused).x);
}
