// emit: the probabilities that an item needs, gathered from its wide frames into a compact table; from here to grad
// nothing touches the class axis.
//
// An emission is relative to its frame's likeliest class, whose emission is exactly 1, and what the frame is divided
// by is kept apart: a frame of which the network is sure then costs no rounding, and a loss of 0.01 keeps its digits.
//
// in input [.., C]: logits, log-probs or probs.  out emissions [step, direction, G, 1 + width]: the blank's, then each
// label's; row_stats [T, G]: see below; verdicts.
// formula y = exp(x - max);  p = y / (1 + excess), excess = Σ exp(x - max) - 1.
// grid LANES lanes a frame, ROWS frames a workgroup.  barriers: those of the folds.

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> verdicts: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> emissions: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> row_stats: array<vec2<f32>>;

// Whether a frame that holds this has a meaning: -inf does, for a probability of 0; NaN and +inf do not.
fn has_meaning(bits: u32) -> bool {
    if (INPUT == 3u) {
        return is_finite(bits) && bitcast<f32>(bits) + params.epsilon >= 0.0;
    }
    return is_finite(bits) || bits == MINUS_INFINITY;
}

// What the frame's maximum is taken of; only of finite input.
fn score(bits: u32) -> f32 {
    if (INPUT == 3u) {
        return bitcast<f32>(bits) + params.epsilon;
    }
    return bitcast<f32>(bits);
}

// What a class adds to the frame's excess, and whether it is a likeliest one.
fn share(bits: u32, top: f32) -> vec2<f32> {
    if (!is_finite(bits)) {
        return vec2<f32>(0.0, 0.0);
    }
    let x = score(bits);
    if (x == top) {
        return vec2<f32>(0.0, 1.0);
    }
    if (INPUT == 0u) {
        return vec2<f32>(exp_plain(below(x, top)), 0.0);
    }
    if (INPUT == 3u) {
        return vec2<f32>(x / top, 0.0);
    }
    return vec2<f32>(0.0, 0.0);
}

fn emission(bits: u32, top: f32) -> Scaled {
    if (!is_finite(bits)) {
        return scaled_zero();
    }
    let x = score(bits);
    if (INPUT == 3u) {
        let p = x / top;
        if (p < SMALLEST) {
            return scaled_zero();
        }
        return normalised(p, 0.0);
    }
    let p = exp_below(x, top);
    return normalised(p.m, p.e);
}

@compute @workgroup_size(LANES, ROWS)
fn emit(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let row = row_of(folded(workgroup, grid) * ROWS + local.y);
    var item = Item(0u, 0u, 0.0, 0u);
    if (row.inside) {
        item = items[row.g];
    }
    let counts = row.inside && row.t < item.frames;
    let step = step_of(row.t, item.frames);
    let live = counts && step.k >= params.page_step && step.k < params.page_end;

    var top = LOWEST;
    if (live) {
        for (var c = lane; c < params.classes; c += LANES) {
            let bits = input[row.first + c];
            if (is_finite(bits)) {
                top = max(top, score(bits));
            }
        }
    }
    top = fold_max(lane, local.y, top);
    if (INPUT == 3u) {
        // What has no meaning must not be divided by.
        top = max(top, SMALLEST);
    }
    var sum = vec2<f32>(0.0, 0.0);
    if (live) {
        var meaningless = false;
        for (var c = lane; c < params.classes; c += LANES) {
            let bits = input[row.first + c];
            meaningless = meaningless || !has_meaning(bits);
            sum += share(bits, top);
        }
        if (meaningless) {
            atomicMax(&verdicts[row.g], NOT_FINITE);
        }
    }
    sum = fold_sums(lane, local.y, sum);
    if (!live) {
        return;
    }
    if (lane == 0u) {
        // No likeliest class: none has any probability.
        if (sum.y == 0.0) {
            atomicMax(&verdicts[row.g], NOT_FINITE);
        }
        row_stats[row.t * params.group + row.g] = vec2<f32>(top, max(sum.y - 1.0, 0.0) + sum.x);
    }
    let out = table_row(step.k, step.direction, row.g) * (params.width + 1u);
    for (var i = lane; i <= item.labels; i += LANES) {
        var class_ = params.blank;
        if (i > 0u) {
            class_ = label_table[row.g * params.width + i - 1u].x & ~FLAG;
        }
        let y = emission(input[row.first + class_], top);
        emissions[out + i] = vec2<f32>(y.m, y.e);
    }
}
