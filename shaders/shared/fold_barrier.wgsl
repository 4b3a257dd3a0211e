// The maximum and the sum over the lanes of a row, through workgroup memory. The order of the
// operations depends only on LANES, so results do not depend on the batch.

// A named override, because naga 30 miscounts overrides that follow an array size that is an
// expression.
override CELLS: u32 = LANES * ROWS;

var<workgroup> sh_fold: array<vec2<f32>, CELLS>;

// All lanes of the row return the maximum.
fn fold_max(lane: u32, row: u32, value: f32) -> f32 {
    let at = row * LANES + lane;
    sh_fold[at].x = value;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_fold[at].x = max(sh_fold[at].x, sh_fold[at + d].x);
        }
        workgroupBarrier();
    }
    let result = sh_fold[row * LANES].x;
    workgroupBarrier();
    return result;
}

// All lanes of the row return the sum: of pairs of neighbours, then of pairs of these sums, and so
// on.
fn fold_sums(lane: u32, row: u32, value: vec2<f32>) -> vec2<f32> {
    sh_fold[row * LANES + lane] = value;
    workgroupBarrier();
    for (var d = 1u; d < LANES; d *= 2u) {
        let first = 2u * d * lane;
        if (first < LANES) {
            sh_fold[row * LANES + first] += sh_fold[row * LANES + first + d];
        }
        workgroupBarrier();
    }
    return sh_fold[row * LANES];
}
