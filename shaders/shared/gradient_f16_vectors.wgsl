// The caller's gradient, as vectors of four f16.
@group(0) @binding(7) var<storage, read_write> gradient: array<vec4<f16>>;

fn set_gradient_vector(index: u32, values: vec4<f32>) {
    gradient[index] = vec4<f16>(values);
}
