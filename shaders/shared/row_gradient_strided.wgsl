// `softmax_stats` writes the gradient, in the vectors of row_strided.wgsl.

// Sets the gradient of vector k of a lane in the row that begins at `first`. A class past the last
// one is not written; `all_exist` is true if there is none.
fn set_row_gradient(first: u32, lane: u32, k: u32, all_exist: bool, values: vec4<f32>) {
    let classes = vector_classes(lane, k);
    let written = exist(classes) | vec4<bool>(all_exist);
    let at = first + classes;
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
