// Which row of the input a lane works on, and sums and maxima over the LANES lanes that share a row. ROWS rows share a
// workgroup. Every fold has the same order whatever the batch.

override LANES: u32 = 32u;
override ROWS: u32 = 4u;
// Named: naga 30 loses count of an override that follows an array size that is an expression.
override CELLS: u32 = LANES * ROWS;

// Logits, log-probs, exact log-probs, probs: Input in src/options.rs.
override INPUT: u32 = 0u;

var<workgroup> sh_fold: array<vec2<f32>, CELLS>;

struct Row {
    inside: bool,
    g: u32,
    t: u32,
    first: u32,
}

fn row_of(index: u32) -> Row {
    // Neighbouring rows are neighbours in memory: frames of an item where the input is batch-major, else items.
    var g = index / params.chunk_frames;
    var f = index % params.chunk_frames;
    if (params.item_rows == 1u) {
        g = index % params.group;
        f = index / params.group;
    }
    let inside = index < params.group * params.chunk_frames;
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return Row(inside, g, params.first_frame + f, first);
}

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

fn fold_sums(lane: u32, row: u32, value: vec2<f32>) -> vec2<f32> {
    let at = row * LANES + lane;
    sh_fold[at] = value;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_fold[at] += sh_fold[at + d];
        }
        workgroupBarrier();
    }
    let result = sh_fold[row * LANES];
    workgroupBarrier();
    return result;
}
