// meet: alpha and beta have reached the middle; all paths summed there give the loss.
//
// formula loss = -ln Σ_s (Σ alpha[t-1, what leads to s]) · beta[t,s], t the first frame of beta's half.
// in carry: both rows.  out loss, status [N]; verdicts [G].
// grid one workgroup an item.  barriers: those of the fold.

override LANES: u32 = 64u;
override ZERO_IMPOSSIBLE: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> carry: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> verdicts: array<u32>;
@group(0) @binding(5) var<storage, read_write> loss: array<u32>;
@group(0) @binding(6) var<storage, read_write> status: array<u32>;

var<workgroup> sh_sum: array<vec2<f32>, LANES>;

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
        var here = times(into_blank(blank, label_before), carried(beta, 2u * (labels - p)));
        if (p < labels) {
            let own = carried(alpha, 2u * p + 1u);
            let into = into_label(own, blank, label_before, reached(0u, g, labels, p));
            let more = add2(here, times(into, carried(beta, 2u * (labels - p) - 1u)));
            here = normalised(more.m, more.e);
        }
        let total = add2(sum, here);
        sum = normalised(total.m, total.e);
    }
    return sum;
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
    if (item.sweeps != 0u) {
        sum = paths(g, item, lane);
    }
    sh_sum[lane] = vec2<f32>(sum.m, sum.e);
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            let a = sh_sum[lane];
            let b = sh_sum[lane + d];
            let both = add2(Scaled(a.x, a.y), Scaled(b.x, b.y));
            let c = normalised(both.m, both.e);
            sh_sum[lane] = vec2<f32>(c.m, c.e);
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
        bits = bitcast<u32>(max(minus_ln(z), 0.0));
    } else if (verdict == IMPOSSIBLE) {
        bits = select(INFINITY, 0u, ZERO_IMPOSSIBLE);
    }
    verdicts[g] = verdict;
    status[params.item_base + g] = verdict;
    loss[params.item_base + g] = bits;
}
