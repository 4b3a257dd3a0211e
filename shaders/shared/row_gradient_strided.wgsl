// `softmax_stats` writes the gradient, in the vectors of row_strided.wgsl.

// Sets the gradient of vector k of a lane in the row that begins at `first`. A class past the last
// one is not written; `all_exist` is true if there is none.
fn set_row_gradient(first: u32, lane: u32, k: u32, all_exist: bool, values: vec4<f32>) {
    let classes = vector_classes(lane, k);
    set_gradients(first + classes, exist(classes) | vec4<bool>(all_exist), values);
}
