// Sets four elements of the gradient, as f32 or f16.

// Writes the gradient at `at` where `written` is true.
fn set_gradients(at: vec4<u32>, written: vec4<bool>, values: vec4<f32>) {
    if (written.x) {
        set_gradient(at.x, values.x);
    }
    if (written.y) {
        set_gradient(at.y, values.y);
    }
    if (written.z) {
        set_gradient(at.z, values.z);
    }
    if (written.w) {
        set_gradient(at.w, values.w);
    }
}
