// The totals over the lanes that share four frames and are one subgroup: without workgroup memory
// or barriers, in the same order as fold_frames_barrier.wgsl.

// The weights of the blanks and of all states, each for four frames.
struct WeightTotals {
    blanks: vec4<f32>,
    all: vec4<f32>,
}

// All lanes return the totals.
fn fold_frames(lane: u32, row: u32, own: WeightTotals) -> WeightTotals {
    var totals = own;
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        totals.blanks += subgroupShuffleXor(totals.blanks, d);
        totals.all += subgroupShuffleXor(totals.all, d);
    }
    return totals;
}
