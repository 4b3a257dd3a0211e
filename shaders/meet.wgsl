// meet: alpha and beta have reached the middle; all paths summed there give the loss.
//
// formula loss = Σ_t ln(1 + excess[t]) - ln Σ_s (Σ alpha[t-1, what leads to s]) · beta[t,s], t the first frame of beta's
// half.
// in carry: both rows; row_stats: what the frames are divided by.  out loss, status [N]; verdicts [G].
// grid one workgroup an item.  barriers: those of the fold.

override LANES: u32 = 64u;
override ZERO_IMPOSSIBLE: bool = false;
// Input in src/options.rs.
override INPUT: u32 = 0u;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> carry: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> verdicts: array<u32>;
@group(0) @binding(6) var<storage, read_write> loss: array<u32>;
@group(0) @binding(7) var<storage, read_write> status: array<u32>;

var<workgroup> sh_sum: array<vec2<f32>, LANES>;
var<workgroup> sh_norm: array<vec3<f32>, LANES>;

fn carried(at: u32, s: u32) -> Scaled {
    let v = carry[at + s];
    return Scaled(v.x, v.y);
}

// The sum of all paths that a lane's places see.
fn paths(g: u32, item: Item, lane: u32) -> Scaled {
    let labels = item.labels;
    let alpha = carry_row(0u, g, steps_of(0u, item.frames));
    let beta = carry_row(1u, g, steps_of(1u, item.frames));
    var sum = scaled_zero();
    for (var p = lane; p <= labels; p += LANES) {
        let blank = carried(alpha, 2u * p);
        var label_before = scaled_zero();
        if (p > 0u) {
            label_before = carried(alpha, 2u * p - 1u);
        }
        var here = times(paths_to_blank(blank, label_before), carried(beta, 2u * (labels - p)));
        if (p < labels) {
            let own = carried(alpha, 2u * p + 1u);
            let into = paths_to_label(own, blank, label_before, reached(0u, g, labels, p));
            let more = add2(here, times(into, carried(beta, 2u * (labels - p) - 1u)));
            here = normalised(more.m, more.e);
        }
        let total = add2(sum, here);
        sum = normalised(total.m, total.e);
    }
    return sum;
}

// What frames are divided by, all together: product · exp(rest). Factors near 1 are added up as logarithms, whose
// digits a product would lose; the others are multiplied, since a sum of large logarithms would lose digits too.
struct Norm {
    product: Scaled,
    rest: f32,
}

const NEAR_ONE: f32 = 0.01;

fn norm_of(stats: vec2<f32>) -> Norm {
    if (INPUT == 1u || INPUT == 2u) {
        // Log-probs are divided by nothing: what was taken off them comes back.
        if (abs(stats.x) < NEAR_ONE) {
            return Norm(scaled_one(), -stats.x);
        }
        let back = exp_scaled(-stats.x, 0.0);
        return Norm(normalised(back.m, back.e), 0.0);
    }
    if (stats.y < NEAR_ONE) {
        return Norm(scaled_one(), ln_1_plus(stats.y));
    }
    return Norm(normalised(1.0 + stats.y, 0.0), 0.0);
}

fn norm_at(lane: u32) -> Norm {
    let v = sh_norm[lane];
    return Norm(Scaled(v.x, v.y), v.z);
}

fn both(a: Norm, b: Norm) -> Norm {
    return Norm(times(a.product, b.product), a.rest + b.rest);
}

// The norm of the frames that a lane sees.
fn norm_of_frames(g: u32, item: Item, lane: u32) -> Norm {
    var norm = Norm(scaled_one(), 0.0);
    for (var t = lane; t < item.frames; t += LANES) {
        norm = both(norm, norm_of(row_stats[t * params.group + g]));
    }
    return norm;
}

@compute @workgroup_size(LANES)
fn meet(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.group) {
        return;
    }
    let item = items[g];
    var sum = scaled_zero();
    var norm = Norm(scaled_one(), 0.0);
    if (item.sweeps != 0u) {
        sum = paths(g, item, lane);
        norm = norm_of_frames(g, item, lane);
    }
    sh_sum[lane] = vec2<f32>(sum.m, sum.e);
    sh_norm[lane] = vec3<f32>(norm.product.m, norm.product.e, norm.rest);
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            let a = sh_sum[lane];
            let b = sh_sum[lane + d];
            let s = add2(Scaled(a.x, a.y), Scaled(b.x, b.y));
            let c = normalised(s.m, s.e);
            sh_sum[lane] = vec2<f32>(c.m, c.e);
            norm = both(norm, norm_at(lane + d));
            sh_norm[lane] = vec3<f32>(norm.product.m, norm.product.e, norm.rest);
        }
        workgroupBarrier();
    }
    if (lane != 0u) {
        return;
    }
    let z = Scaled(sh_sum[0].x, sh_sum[0].y);
    var verdict = verdicts[g];
    if (verdict == OK && z.e <= 0.9 * ZERO) {
        verdict = IMPOSSIBLE;
    }
    var bits = NAN;
    if (verdict == OK) {
        let share = normalised(z.m / norm.product.m, z.e - norm.product.e);
        bits = bitcast<u32>(max(norm.rest + minus_ln(share), 0.0));
    } else if (verdict == IMPOSSIBLE) {
        bits = select(INFINITY, 0u, ZERO_IMPOSSIBLE);
    }
    verdicts[g] = verdict;
    status[params.item_base + g] = verdict;
    loss[params.item_base + g] = bits;
}
