// The totals over the lanes that share four frames by subgroup operations, in the order of
// fold_frames_barrier.wgsl.

// The weights of the blanks and of all states, each for four frames.
struct WeightTotals {
    blanks: vec4<f32>,
    all: vec4<f32>,
}

// Lanes per subgroup. Subgroups consist of consecutive lanes. The lanes of four frames are a part
// of a subgroup, or at most SUBGROUP whole ones.
override SUBGROUP: u32 = 32u;
// Subgroups that exchange their results.
override PARTS: u32 = max(LANES / SUBGROUP, 1u);

// A named override, because naga 30 miscounts overrides that follow an array size that is an
// expression.
override CELLS: u32 = LANES * ROWS / SUBGROUP;

var<workgroup> sh_frames: array<WeightTotals, CELLS>;

fn add_neighbours(own: WeightTotals, width: u32) -> WeightTotals {
    var totals = own;
    for (var d = 1u; d < width; d *= 2u) {
        totals.blanks += subgroupShuffleXor(totals.blanks, d);
        totals.all += subgroupShuffleXor(totals.all, d);
    }
    return totals;
}

// All lanes return the totals over the first `width` lanes, of which the other lanes repeat the
// values. Subgroups exchange their results only if `width` is above SUBGROUP.
fn fold_frames(lane: u32, row: u32, own: WeightTotals, width: u32) -> WeightTotals {
    var totals = add_neighbours(own, min(width, SUBGROUP));
    if (width > SUBGROUP) {
        let parts = width / SUBGROUP;
        let at = row * PARTS;
        if (lane % SUBGROUP == 0u) {
            sh_frames[at + lane / SUBGROUP] = totals;
        }
        workgroupBarrier();
        totals = add_neighbours(sh_frames[at + lane % parts], parts);
    }
    return totals;
}
