// The totals over the lanes that share four frames and are one subgroup: no memory, no barrier, the same order.

// The weights of the blanks and of all states, at each of four frames.
struct Sums {
    blanks: vec4<f32>,
    all: vec4<f32>,
}

fn fold_frames(lane: u32, row: u32, own: Sums) -> Sums {
    var totals = own;
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        totals.blanks += subgroupShuffleXor(totals.blanks, d);
        totals.all += subgroupShuffleXor(totals.all, d);
    }
    return totals;
}
