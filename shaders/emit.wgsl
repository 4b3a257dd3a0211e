// emit: the probabilities that an item needs, gathered from its wide frames into a compact table; from here to grad
// nothing touches the class axis.
//
// in input [.., C]: logits, log-probs or probs.  out emissions [step, direction, G, 1 + width]: the blank's, then each
// label's; row_stats [T, G]: maximum and 1/Σ of a frame, for grad; verdicts.
// formula p = exp(x - max) / Σ exp(x - max).
// grid LANES lanes a frame, ROWS frames a workgroup.  barriers: those of the folds.

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> verdicts: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> emissions: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> row_stats: array<vec2<f32>>;

// Whether a gradient will want the statistics.
override KEEP: bool = false;


// Whether a frame that holds this has a meaning: -inf does, for a probability of 0; NaN and +inf do not.
fn has_meaning(bits: u32) -> bool {
    if (INPUT == 3u) {
        return is_finite(bits) && bitcast<f32>(bits) + params.epsilon >= 0.0;
    }
    return is_finite(bits) || bits == MINUS_INFINITY;
}

// The share of a class in the sum of its frame: Σ is 0 only where no class has any probability.
fn share(bits: u32, top: f32) -> f32 {
    if (!is_finite(bits)) {
        return 0.0;
    }
    if (INPUT == 0u) {
        return exp_plain(below(bitcast<f32>(bits), top));
    }
    if (INPUT == 3u) {
        return bitcast<f32>(bits) + params.epsilon;
    }
    return 1.0;
}

fn emission(bits: u32, top: f32, inverse: f32) -> Scaled {
    if (!is_finite(bits)) {
        return scaled_zero();
    }
    let x = bitcast<f32>(bits);
    if (INPUT == 0u) {
        let p = exp_below(x, top);
        return normalised(p.m * inverse, p.e);
    }
    if (INPUT == 3u) {
        let p = max(x + params.epsilon, 0.0) * inverse;
        if (p < 1.2e-38) {
            return scaled_zero();
        }
        return normalised(p, 0.0);
    }
    let p = exp_scaled(x, 0.0);
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
    if (INPUT == 0u) {
        if (live) {
            for (var c = lane; c < params.classes; c += LANES) {
                let bits = input[row.first + c];
                top = max(top, select(LOWEST, bitcast<f32>(bits), is_finite(bits)));
            }
        }
        top = fold_max(lane, local.y, top);
    }
    var sum = 0.0;
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
    sum = fold_sum(lane, local.y, sum);
    if (!live) {
        return;
    }
    if (sum == 0.0 && lane == 0u) {
        atomicMax(&verdicts[row.g], NOT_FINITE);
    }
    // A probability is never divided by less than the smallest normal number: what has no meaning stays finite.
    let inverse = 1.0 / max(sum, 1.2e-38);
    if (KEEP && lane == 0u) {
        row_stats[row.t * params.group + row.g] = vec2<f32>(top, inverse);
    }
    let out = table_row(step.k, step.direction, row.g) * (params.width + 1u);
    for (var i = lane; i <= item.labels; i += LANES) {
        var class_ = params.blank;
        if (i > 0u) {
            class_ = label_table[row.g * params.width + i - 1u].x & ~FLAG;
        }
        let y = emission(input[row.first + class_], top, inverse);
        emissions[out + i] = vec2<f32>(y.m, y.e);
    }
}
