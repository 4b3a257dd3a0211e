// The maximum and the sum over the lanes of a row that are one subgroup: no memory, no barrier, the same order.

fn fold_max(lane: u32, row: u32, value: f32) -> f32 {
    return subgroupMax(value);
}

// The sum, for the first lane of a row.
fn fold_sums(lane: u32, row: u32, value: vec2<f32>) -> vec2<f32> {
    var sum = value;
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        sum += subgroupShuffleDown(sum, d);
    }
    return sum;
}
