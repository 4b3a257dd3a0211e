// The totals over the lanes that share four frames, through workgroup memory. The order of the
// operations depends only on LANES, so results do not depend on the batch.

// The weights of the blanks and of all states, each for four frames.
struct WeightTotals {
    blanks: vec4<f32>,
    all: vec4<f32>,
}

// A named override, because naga 30 miscounts overrides that follow an array size that is an
// expression.
override CELLS: u32 = LANES * ROWS;

var<workgroup> sh_frames: array<WeightTotals, CELLS>;

// All lanes return the totals over the first `width` lanes: of pairs of neighbours, then of pairs
// of these totals, and so on.
fn fold_frames(lane: u32, row: u32, own: WeightTotals, width: u32) -> WeightTotals {
    sh_frames[row * LANES + lane] = own;
    workgroupBarrier();
    for (var d = 1u; d < width; d *= 2u) {
        let first = 2u * d * lane;
        if (first < width) {
            let at = row * LANES + first;
            sh_frames[at].blanks += sh_frames[at + d].blanks;
            sh_frames[at].all += sh_frames[at + d].all;
        }
        workgroupBarrier();
    }
    return sh_frames[row * LANES];
}
