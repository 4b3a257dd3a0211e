// The exchange between the lanes that hold one quad, through workgroup memory. Each distance has
// its own half of the memory. A half is written again only in the next block of frames, after the
// barrier of an exchange with the neighbouring lane, so no lane still reads it.
override TWO_LANES_OF_SUMS: u32 = 2u * LANES;

var<workgroup> sh_swap: array<vec2<f32>, TWO_LANES_OF_SUMS>;

// The values of the lane at a distance of 1 or 2 in the same quad.
fn swapped_with(lane: u32, distance: u32, own: vec2<f32>) -> vec2<f32> {
    let half = (distance - 1u) * LANES;
    sh_swap[half + lane] = own;
    workgroupBarrier();
    return sh_swap[half + (lane ^ distance)];
}
