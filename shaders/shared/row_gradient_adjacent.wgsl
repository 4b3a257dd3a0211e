// `softmax_stats` writes the gradient, in the vectors of row_adjacent.wgsl.

// Sets the gradient of vector k of a lane in the row that begins at `first`. A vector past the last
// one is not written; `all_exist` is true if there is none.
fn set_row_gradient(first: u32, lane: u32, k: u32, all_exist: bool, values: vec4<f32>) {
    let index = lane + k * LANES;
    if (all_exist || index < params.classes / 4u) {
        set_gradient_vector(first / 4u + index, values);
    }
}
