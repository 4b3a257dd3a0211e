// join: alpha and beta have reached the middle; all paths summed there give the loss.
//
// formula loss = Σ_t ln(1 + excess[t]) - ln Σ_s (Σ alpha[t-1, what leads to s]) · beta[t,s], t the first frame of beta's
// half.
// in carry: both rows; row_stats: what the frames are divided by.  out loss, status [N]; item_status [G];
// exponents [G], of the sum of all paths.
// grid one workgroup an item.  barriers: those of the fold.

override LANES: u32 = 64u;
override ZERO_IMPOSSIBLE: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> carry: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> item_status: array<u32>;
@group(0) @binding(6) var<storage, read_write> loss: array<u32>;
@group(0) @binding(7) var<storage, read_write> status: array<u32>;
@group(0) @binding(8) var<storage, read_write> exponents: array<i32>;

fn carried(direction: u32, g: u32, q: u32) -> States {
    let at = carry_part(0u, direction, g, 0u) + q;
    let part = params.quads;
    return States(
        Scaled(bitcast<vec4<f32>>(carry[at]), bitcast<vec4<i32>>(carry[at + part])),
        Scaled(bitcast<vec4<f32>>(carry[at + 2u * part]), bitcast<vec4<i32>>(carry[at + 3u * part])),
    );
}

// The sum of all paths that a lane's quads see, each place apart.
fn paths_of(g: u32, item: Item, lane: u32) -> Scaled {
    var sum = scaled_zero();
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        let quad = quad_of(g, item.labels, q);
        var edge = no_edge();
        if (q > 0u) {
            let before = carried(0u, g, q - 1u);
            edge = Edge(before.label.m.w, before.label.e.w);
        }
        let alpha = paths(0u, carried(0u, g, q), edge, quad);
        let beta = carried(1u, g, q);
        let here = normalised(plus(times(alpha.blank, beta.blank), times(alpha.label, beta.label)));
        sum = normalised(plus(sum, here));
    }
    return sum;
}

// What frames are divided by, all together: product · exp(rest). Factors near 1 are added up as logarithms, whose
// digits a product would lose; the others are multiplied, since a sum of large logarithms would lose digits too.
struct Norm {
    product: Scaled,
    rest: vec4<f32>,
}

const NEAR_ONE: f32 = 0.01;

// An exponent no larger has been cut off at ZERO, but for what totals and normalising have added since.
const HARDLY: i32 = ZERO + 4096;

// A loss below 0 by less is 0 but for rounding; below that, the input was no distribution.
const ROUNDING: f32 = 1.0e-6;

fn norm_one() -> Norm {
    return Norm(scaled_one(), vec4<f32>(0.0));
}

fn both(a: Norm, b: Norm) -> Norm {
    let product = normalised(times(a.product, b.product));
    return Norm(Scaled(product.m, min(product.e, vec4<i32>(-ZERO))), a.rest + b.rest);
}

// Of four frames.
fn norm_of(tops: vec4<f32>, excess: vec4<f32>) -> Norm {
    if (is_log_probs()) {
        // Log-probs are divided by nothing: what was taken off them comes back.
        let near = abs(tops) < vec4<f32>(NEAR_ONE);
        let back = normalised(exp_scaled(-tops, vec4<f32>(0.0)));
        return Norm(either(scaled_one(), back, near), select(vec4<f32>(0.0), -tops, near));
    }
    let near = excess < vec4<f32>(NEAR_ONE);
    let product = normalised(Scaled(1.0 + excess, vec4<i32>(0)));
    return Norm(either(scaled_one(), product, near), select(vec4<f32>(0.0), ln_1_plus(excess), near));
}

fn stats_at(g: u32, t: u32, frames: u32) -> vec2<f32> {
    // A frame that there is not is divided by 1.
    if (t >= frames) {
        return vec2<f32>(0.0, 0.0);
    }
    return row_stats[t * params.tile_items + g];
}

// The norm of the frames that a lane sees.
fn norm_of_frames(g: u32, frames: u32, lane: u32) -> Norm {
    var norm = norm_one();
    for (var t = lane; t < frames; t += 4u * LANES) {
        let a = stats_at(g, t, frames);
        let b = stats_at(g, t + LANES, frames);
        let c = stats_at(g, t + 2u * LANES, frames);
        let d = stats_at(g, t + 3u * LANES, frames);
        norm = both(norm, norm_of(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y)));
    }
    return norm;
}

// The sum or product of a vector's components, in all of them.
fn plus_across(a: Scaled) -> Scaled {
    let pairs = normalised(plus(a, Scaled(a.m.yxwz, a.e.yxwz)));
    return normalised(plus(pairs, Scaled(pairs.m.zwxy, pairs.e.zwxy)));
}

fn both_across(a: Norm) -> Norm {
    let pairs = both(a, Norm(Scaled(a.product.m.yxwz, a.product.e.yxwz), a.rest.yxwz));
    return both(pairs, Norm(Scaled(pairs.product.m.zwxy, pairs.product.e.zwxy), pairs.rest.zwxy));
}

var<workgroup> sh_sum: array<Scaled, LANES>;
var<workgroup> sh_norm: array<Norm, LANES>;

@compute @workgroup_size(LANES)
fn join(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    var sum = scaled_zero();
    var norm = norm_one();
    if (item.sweeps != 0u) {
        sum = paths_of(g, item, lane);
        norm = norm_of_frames(g, item.frames, lane);
    }
    sh_sum[lane] = sum;
    sh_norm[lane] = norm;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sum = normalised(plus(sum, sh_sum[lane + d]));
            sh_sum[lane] = sum;
            norm = both(norm, sh_norm[lane + d]);
            sh_norm[lane] = norm;
        }
        workgroupBarrier();
    }
    if (lane != 0u) {
        return;
    }
    let z = plus_across(sum);
    let all = both_across(norm);
    var verdict = item_status[g];
    let share = normalised(Scaled(z.m / all.product.m, z.e - all.product.e));
    let found = all.rest.x + minus_ln(share).x;
    if (verdict == OK && (z.e.x <= HARDLY || found >= LEAST)) {
        verdict = IMPOSSIBLE;
    }
    var bits = NAN;
    if (verdict == OK) {
        bits = bitcast<u32>(select(found, 0.0, found <= 0.0 && found > -ROUNDING));
    } else if (verdict == IMPOSSIBLE) {
        bits = select(INFINITY, 0u, ZERO_IMPOSSIBLE);
    }
    item_status[g] = verdict;
    exponents[g] = z.e.x;
    status[params.item_base + g] = verdict;
    loss[params.item_base + g] = bits;
}
