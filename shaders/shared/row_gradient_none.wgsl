// `softmax_stats` does not write the gradient.

fn set_row_gradient(first: u32, lane: u32, k: u32, all_exist: bool, values: vec4<f32>) {
}
