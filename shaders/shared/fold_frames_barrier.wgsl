// The totals over the lanes that share four frames, through workgroup memory. Always in the same order, whatever the batch.

// The weights of the blanks and of all states, at each of four frames.
struct Sums {
    blanks: vec4<f32>,
    all: vec4<f32>,
}

// Named: naga 30 loses count of an override that follows an array size that is an expression.
override CELLS: u32 = LANES * ROWS;

var<workgroup> sh_frames: array<Sums, CELLS>;

fn fold_frames(lane: u32, row: u32, own: Sums) -> Sums {
    let at = row * LANES + lane;
    sh_frames[at] = own;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_frames[at].blanks += sh_frames[at + d].blanks;
            sh_frames[at].all += sh_frames[at + d].all;
        }
        workgroupBarrier();
    }
    return sh_frames[row * LANES];
}
