// The exchange between the lanes that hold one quad, by subgroup operations.

// The values of the lane at a distance of 1 or 2 in the same quad.
fn swapped_with(lane: u32, distance: u32, own: vec2<f32>) -> vec2<f32> {
    return subgroupShuffleXor(own, distance);
}
