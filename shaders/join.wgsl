// join: sums alpha · beta over all states at the middle of each item, where the inward sweeps have
// ended. This sum, divided by the divisor of every frame, is the likelihood of the labels, which
// gives the loss. The divisor of frame t is the sum of its emissions over all classes,
// 1 + sum_exp_m1[t]. For log-probabilities it is exp(-row_max[t]).
//
// formula: loss = Σ_t ln(1 + sum_exp_m1[t]) - ln Σ_s (Σ_s' alpha[t-1,s']) · beta[t,s], where s' are
// the predecessors of s and t is the first frame of beta's half (Graves et al. 2006, eq. 14,
// without its division by the emission, because the sum over s' does not contain the emission of
// frame t). For log-probabilities the first sum is -Σ_t row_max[t].
// in: items, label_table; carry: the states of both directions; row_stats, item_status.
// out: loss, status [N]; final_status [G]: the status, for `grad`. Not in item_status, which the
// outward sweep may read at the same time.
// grid: one workgroup per item.
// barriers: those of the fold.

override LANES: u32 = 64u;
// Impossible::Zero in src/options.rs: the loss of an impossible item is 0, not infinite.
override ZERO_IMPOSSIBLE: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<u32>;
@group(0) @binding(3) var<storage, read> carry: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> item_status: array<u32>;
@group(0) @binding(6) var<storage, read_write> loss: array<u32>;
@group(0) @binding(7) var<storage, read_write> status: array<u32>;
@group(0) @binding(8) var<storage, read_write> final_status: array<u32>;

fn load_carry(direction: u32, g: u32, q: u32) -> States {
    let at = carry_part(0u, direction, g, 0u) + q;
    let part = params.quads;
    return States(
        Scaled(bitcast<vec4<f32>>(carry[at]), bitcast<vec4<i32>>(carry[at + part])),
        Scaled(bitcast<vec4<f32>>(carry[at + 2u * part]), bitcast<vec4<i32>>(carry[at + 3u * part])),
    );
}

// The product of two states, whose exponent is that of its probability plus 2 · ONE_STATE. Clamped
// to at least 0, which is below every product that counts, so that the difference of two such
// exponents fits in an i32.
fn product_of_states(a: Scaled, b: Scaled) -> Scaled {
    return Scaled(a.m * b.m, max(a.e + b.e, vec4<i32>(0)));
}

fn no_paths() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<i32>(0));
}

// Sums the paths through the lane's quads. Each component of the result is the sum over one of the
// four pairs of every quad.
fn lane_path_sum(g: u32, item: Item, lane: u32) -> Scaled {
    var sum = no_paths();
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        // Loads all states before it uses any, so that the latencies overlap.
        let quad = group_of(g, item.labels, q);
        let before = load_carry(0u, g, max(q, 1u) - 1u);
        let own = load_carry(0u, g, q);
        let beta = load_carry(1u, g, q);
        var edge = no_edge_state();
        if (q > 0u) {
            edge = ScaledNumber(before.label.m.w, before.label.e.w);
        }
        let alpha = transition_sums(0u, own, edge, quad);
        let joined = normalised(
            plus(
                product_of_states(alpha.blank, beta.blank),
                product_of_states(alpha.label, beta.label),
            ),
        );
        sum = normalised(plus(sum, joined));
    }
    return sum;
}

// The product of the divisors of all frames: product · exp(log_rest). For divisors near 1, the
// logarithms are summed, because a product would lose their digits. The other divisors are
// multiplied, because a sum of large logarithms would lose digits too.
struct Normaliser {
    product: Scaled,
    log_rest: vec4<f32>,
}

const NEAR_ONE: f32 = 0.01;

// A sum over paths with an exponent of at most this counts as 0: the item is impossible. It is that
// of a state of probability 1 and of a state of 0, and 2^24 for the growth of sums over paths. Must
// match ZERO_THRESHOLD in src/cpu/join.rs.
const CUT_OFF: i32 = ONE_STATE + ZERO_STATE + 16777216;

// A normaliser whose exponent reaches MAX_EXPONENT, 3 · 2^29, makes an item impossible: it divides
// by more than exp(MAX_NATS). Exponents are clamped to MAX_EXPONENT, so that their sums fit in an
// i32. The difference between MAX_EXPONENT and an exponent below MIN_EXPONENT, -2^29, would not
// fit, so it is computed from MIN_EXPONENT. src/cpu/join.rs multiplies by the reciprocals of these
// normalisers, so the signs of its MIN_EXPONENT and MAX_EXPONENT are opposite.
const MAX_EXPONENT: i32 = 1610612736;
const MIN_EXPONENT: i32 = -536870912;

// A negative loss above -ROUNDING is a rounding error and becomes 0. A lower one is returned
// unchanged: the input is then not a distribution (see the semantics in src/lib.rs). Must match
// LOSS_ROUNDING in src/cpu/join.rs.
const ROUNDING: f32 = 1.0e-6;

fn divisor_one() -> Scaled {
    return Scaled(vec4<f32>(1.0), vec4<i32>(0));
}

fn normaliser_one() -> Normaliser {
    return Normaliser(divisor_one(), vec4<f32>(0.0));
}

// The largest exponent stays the largest, whatever it is multiplied by: scores above 0 do not make
// an impossible item possible.
fn normaliser_product(a: Normaliser, b: Normaliser) -> Normaliser {
    let limit = vec4<i32>(MAX_EXPONENT);
    let e = a.product.e + min(b.product.e, limit - max(a.product.e, vec4<i32>(MIN_EXPONENT)));
    let is_largest = max(a.product.e, b.product.e) >= limit;
    return Normaliser(
        normalised(Scaled(a.product.m * b.product.m, select_ints(limit, e, is_largest))),
        a.log_rest + b.log_rest,
    );
}

// The divisors of four frames, one per component.
fn frame_normaliser(row_max: vec4<f32>, sum_exp_m1: vec4<f32>) -> Normaliser {
    if (is_log_probs()) {
        // Log-probabilities are not normalised. Their divisor exp(-row_max) only undoes the
        // subtraction of the maximum in the emissions.
        let near = abs(row_max) < vec4<f32>(NEAR_ONE);
        let divisor = exp_scaled(-min(row_max, vec4<f32>(MAX_LOG_PROB)), vec4<f32>(0.0));
        return Normaliser(
            select_scaled(divisor_one(), normalised(divisor), near),
            select(vec4<f32>(0.0), -row_max, near),
        );
    }
    let near = sum_exp_m1 < vec4<f32>(NEAR_ONE);
    let product = normalised(Scaled(1.0 + sum_exp_m1, vec4<i32>(0)));
    return Normaliser(
        select_scaled(divisor_one(), product, near),
        select(vec4<f32>(0.0), ln_1_plus(sum_exp_m1), near),
    );
}

// The row statistics of frame t. Past the item's length, they are 0, which gives the divisor 1.
fn stats_at(g: u32, t: u32, frames: u32) -> vec2<f32> {
    if (t >= frames) {
        return vec2<f32>(0.0, 0.0);
    }
    return row_stats[t * params.tile_items + g];
}

// Multiplies the divisors of the lane's frames.
fn lane_normaliser(g: u32, frames: u32, lane: u32) -> Normaliser {
    var normaliser = normaliser_one();
    for (var t = lane; t < frames; t += 4u * LANES) {
        let a = stats_at(g, t, frames);
        let b = stats_at(g, t + LANES, frames);
        let c = stats_at(g, t + 2u * LANES, frames);
        let d = stats_at(g, t + 3u * LANES, frames);
        normaliser = normaliser_product(
            normaliser,
            frame_normaliser(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y)),
        );
    }
    return normaliser;
}

// The sum of a vector's four components, in each component of the result.
fn sum_components(a: Scaled) -> Scaled {
    let halves = normalised(plus(a, Scaled(a.m.yxwz, a.e.yxwz)));
    return normalised(plus(halves, Scaled(halves.m.zwxy, halves.e.zwxy)));
}

// The product of a vector's four components, in each component of the result.
fn multiply_components(a: Normaliser) -> Normaliser {
    let halves = normaliser_product(
        a,
        Normaliser(Scaled(a.product.m.yxwz, a.product.e.yxwz), a.log_rest.yxwz),
    );
    return normaliser_product(
        halves,
        Normaliser(Scaled(halves.product.m.zwxy, halves.product.e.zwxy), halves.log_rest.zwxy),
    );
}

var<workgroup> sh_sum: array<Scaled, LANES>;
var<workgroup> sh_normaliser: array<Normaliser, LANES>;

@compute @workgroup_size(LANES)
fn join(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    var sum = no_paths();
    var normaliser = normaliser_one();
    var status_code = item_status[g];
    if (item.sweeps != 0u && status_code == OK) {
        sum = lane_path_sum(g, item, lane);
        normaliser = lane_normaliser(g, item.frames, lane);
    }
    sh_sum[lane] = sum;
    sh_normaliser[lane] = normaliser;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sum = normalised(plus(sum, sh_sum[lane + d]));
            sh_sum[lane] = sum;
            normaliser = normaliser_product(normaliser, sh_normaliser[lane + d]);
            sh_normaliser[lane] = normaliser;
        }
        workgroupBarrier();
    }
    if (lane != 0u) {
        return;
    }
    let path_sum = sum_components(sum);
    let total = multiply_components(normaliser);
    let divisor = total.product.e;
    let least = max(divisor, vec4<i32>(MIN_EXPONENT)) - MAX_EXPONENT;
    let exponent = max(path_sum.e - 2 * ONE_STATE, least) - divisor;
    let likelihood = normalised(Scaled(path_sum.m / total.product.m, exponent));
    let loss_value = total.log_rest.x + minus_ln(likelihood).x;
    if (status_code == OK && (path_sum.e.x <= CUT_OFF || loss_value >= MAX_NATS)) {
        status_code = IMPOSSIBLE;
    }
    var bits = NAN;
    if (status_code == OK) {
        bits = bitcast<u32>(select(loss_value, 0.0, loss_value <= 0.0 && loss_value > -ROUNDING));
    } else if (status_code == IMPOSSIBLE) {
        bits = select(INFINITY, 0u, ZERO_IMPOSSIBLE);
    }
    final_status[g] = status_code;
    status[params.item_base + g] = status_code;
    loss[params.item_base + g] = bits;
}
