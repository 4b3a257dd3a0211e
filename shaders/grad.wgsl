// grad: the gradient of every frame of a chunk, written once for each class and again for the classes of the labels.
//
// formula scale · (softmax - occupancy), the occupancies of a frame divided by their own sum: what rounding did to all
// states of a frame alike falls out, and the rows of the gradient sum to 0.
// in input, lattice (occupancies up to a factor), row_stats, label_table.  out gradient, as the input.
// grid LANES lanes a frame, ROWS frames a workgroup.  barriers: those of the folds; each class is written before its
// occupancy is taken off.

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> verdicts: array<u32>;
@group(0) @binding(5) var<storage, read> lattice: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> gradient: array<u32>;

// The derivative of the loss with respect to one entry of the input, for a class of this occupancy. The frame's
// maximum is norm.x; norm.y is what its entries, relative to that, are multiplied with.
fn derivative(bits: u32, norm: vec2<f32>, occupancy: f32) -> f32 {
    let finite = is_finite(bits);
    let x = bitcast<f32>(select(0u, bits, finite));
    if (INPUT == 0u) {
        return select(0.0, exp_plain(below(x, norm.x)) * norm.y, finite) - occupancy;
    }
    if (INPUT == 1u) {
        return select(0.0, exp_plain(x), finite) - occupancy;
    }
    if (INPUT == 2u) {
        return 0.0 - occupancy;
    }
    let q = x + params.epsilon;
    if (q < SMALLEST) {
        return norm.y;
    }
    return norm.y - occupancy / q;
}

fn weight_of(place: u32, top: f32) -> f32 {
    let v = lattice[place];
    return v.x * power(v.y - top);
}

// Where state 2i + 1 of label i lies in a row that beta kept in its own order.
fn label_place(direction: u32, labels: u32, i: u32) -> u32 {
    return select(2u * i + 1u, 2u * (labels - i) - 1u, direction == 1u);
}

@compute @workgroup_size(LANES, ROWS)
fn grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let row = row_of(folded(workgroup, grid) * ROWS + local.y);
    var item = Item(0u, 0u, 0.0, 0u);
    var verdict = BAD_LENGTH;
    if (row.inside) {
        item = items[row.g];
        verdict = verdicts[row.g];
    }
    let counts = row.inside && row.t < item.frames;
    let step = step_of(row.t, item.frames);
    let paged = step.k >= params.page_step && step.k < params.page_end;
    let live = counts && paged && verdict == OK && item.scale != 0.0;
    let labels = item.labels;
    var kept = 0u;
    if (live) {
        kept = table_row(step.k, step.direction, row.g) * states_stride();
    }

    var top = LOWEST;
    if (live) {
        for (var s = lane; s <= 2u * labels; s += LANES) {
            top = max(top, lattice[kept + s].y);
        }
    }
    top = fold_max(lane, local.y, top);
    // Of the blank's class, and of the others.
    var sums = vec2<f32>(0.0, 0.0);
    if (live) {
        for (var p = lane; p <= labels; p += LANES) {
            sums.x += weight_of(kept + 2u * p, top);
        }
        for (var i = lane; i < labels; i += LANES) {
            let w = weight_of(kept + label_place(step.direction, labels, i), top);
            // A blank that stands among the labels is the blank's class still.
            if ((label_table[row.g * params.width + i].x & ~FLAG) == params.blank) {
                sums.x += w;
            } else {
                sums.y += w;
            }
        }
    }
    sums = fold_sums(lane, local.y, sums);
    let inverse = 1.0 / (sums.x + sums.y);

    var norm = vec2<f32>(0.0, 0.0);
    if (live) {
        let stats = row_stats[row.t * params.group + row.g];
        let factor = select(1.0, stats.x, INPUT == 3u);
        norm = vec2<f32>(stats.x, 1.0 / (factor * (1.0 + stats.y)));
        for (var c = lane; c < params.classes; c += LANES) {
            gradient[row.first + c] = bitcast<u32>(item.scale * derivative(input[row.first + c], norm, 0.0));
        }
    } else if (row.inside && (paged || !counts) && (counts || params.page_step == 0u)) {
        // Nothing to learn from: exactly 0, but NaN where the item's own input was none.
        let bits = select(0u, NAN, counts && verdict == NOT_FINITE && item.scale != 0.0);
        for (var c = lane; c < params.classes; c += LANES) {
            gradient[row.first + c] = bits;
        }
    }
    storageBarrier();
    workgroupBarrier();
    if (!live) {
        return;
    }
    if (lane == 0u) {
        let at = row.first + params.blank;
        gradient[at] = bitcast<u32>(item.scale * derivative(input[at], norm, sums.x * inverse));
    }
    for (var i = lane; i < labels; i += LANES) {
        var link = label_table[row.g * params.width + i];
        let class_ = link.x & ~FLAG;
        if ((link.y & FLAG) != 0u && class_ != params.blank) {
            var sum = weight_of(kept + label_place(step.direction, labels, i), top);
            var next = link.y & ~FLAG;
            while (next < labels) {
                sum += weight_of(kept + label_place(step.direction, labels, next), top);
                next = label_table[row.g * params.width + next].y & ~FLAG;
            }
            let at = row.first + class_;
            gradient[at] = bitcast<u32>(item.scale * derivative(input[at], norm, sum * inverse));
        }
    }
}
