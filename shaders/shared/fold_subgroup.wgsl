// The maximum and the sum over the lanes of a row that are one subgroup: without workgroup memory
// or barriers, in the same order as fold_barrier.wgsl.

// All lanes of the row return the maximum.
fn fold_max(lane: u32, row: u32, value: f32) -> f32 {
    return subgroupMax(value);
}

// The first lane of the row returns the sum.
fn fold_sums(lane: u32, row: u32, value: vec2<f32>) -> vec2<f32> {
    var sum = value;
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        sum += subgroupShuffleDown(sum, d);
    }
    return sum;
}
