// grad: the gradient of every frame of a chunk, each element written once by the lane that has read its input: so it may
// lie where the input does.
//
// formula scale · (softmax - occupancy), the occupancies of a frame divided by their own sum: what rounding did to all
// states of a frame alike falls out, and the rows of the gradient sum to 0.
// in input, lattice (weights of labels and blanks), row_stats, label_table, heads.  out gradient, as the input.
// grid LANES lanes a frame, ROWS frames a workgroup.

@group(0) @binding(3) var<storage, read> items: array<Item>;
@group(0) @binding(4) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> heads: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> verdicts: array<u32>;
@group(0) @binding(7) var<storage, read> lattice: array<f32>;
@group(0) @binding(8) var<storage, read> row_stats: array<vec2<f32>>;

// The derivative of the loss with respect to entries of the input, for classes of these occupancies. The frame's
// maximum is norm.x; norm.y is what its entries, relative to that, are multiplied with.
fn derivative(bits: vec4<u32>, norm: vec2<f32>, occupancy: vec4<f32>) -> vec4<f32> {
    let known = finite(bits);
    let x = bitcast<vec4<f32>>(select(vec4<u32>(0u), bits, known));
    if (INPUT == LOGITS) {
        return select(vec4<f32>(0.0), exp_plain(below(x, vec4<f32>(norm.x))) * norm.y, known) - occupancy;
    }
    if (INPUT == LOG_PROBS) {
        return select(vec4<f32>(0.0), exp_plain(x), known) - occupancy;
    }
    if (INPUT == LOG_PROBS_EXACT) {
        return 0.0 - occupancy;
    }
    let q = x + params.epsilon;
    let some = q >= vec4<f32>(SMALLEST);
    return select(vec4<f32>(norm.y), norm.y - occupancy / max(q, vec4<f32>(SMALLEST)), some);
}

// Where the weights of a frame stand, and their sums.
struct Places {
    labels: u32,
    sums: u32,
}

fn places_of(step: Step, g: u32) -> Places {
    let f = step.k % BLOCK;
    return Places(
        4u * lattice_part(step.k, step.direction, g, f),
        4u * lattice_part(step.k, step.direction, g, 4u) + f,
    );
}

// The weight of the blanks and of all states. Each lane adds all up, in the order of the quads: a fold over lanes would
// ask for barriers.
fn weigh(places: Places, labels: u32) -> vec2<f32> {
    var blanks = 0.0;
    var all = 0.0;
    for (var q = 0u; q <= labels / 4u; q++) {
        let at = places.sums + 4u * q;
        let of_blanks = lattice[at];
        blanks += of_blanks;
        all += of_blanks + lattice[at + 4u * params.quads];
    }
    return vec2<f32>(blanks, all);
}

// The weights of four classes, the first of them c, each class's labels taken in their order.
fn weights_of(g: u32, c: u32, places: Places, labels: u32) -> vec4<f32> {
    var sums = vec4<f32>(0.0);
    var links = heads[heads_quad(g, c, LANES)];
    var i = links & vec4<u32>(~FLAG);
    while (any(i < vec4<u32>(labels))) {
        let there = i < vec4<u32>(labels);
        let label = min(i, vec4<u32>(labels - 1u));
        let at = places.labels + label;
        let weights = vec4<f32>(lattice[at.x], lattice[at.y], lattice[at.z], lattice[at.w]);
        sums += select(vec4<f32>(0.0), weights, there);
        let more = there & ((links & vec4<u32>(FLAG)) != vec4<u32>(0u));
        if (!any(more)) {
            break;
        }
        let from_ = g * params.width + label;
        links = vec4<u32>(
            label_table[from_.x].y,
            label_table[from_.y].y,
            label_table[from_.z].y,
            label_table[from_.w].y,
        );
        i = select(vec4<u32>(NO_LABEL), links & vec4<u32>(~FLAG), more);
    }
    return sums;
}

fn norm_of(stats: vec2<f32>) -> vec2<f32> {
    let factor = select(1.0, stats.x, INPUT == PROBS);
    return vec2<f32>(stats.x, 1.0 / (factor * (1.0 + stats.y)));
}

fn set_row(row: Row, classes: vec4<u32>, values: vec4<f32>) {
    set_gradient(row.first + classes.x, values.x);
    if (classes.y < params.classes) {
        set_gradient(row.first + classes.y, values.y);
    }
    if (classes.z < params.classes) {
        set_gradient(row.first + classes.z, values.z);
    }
    if (classes.w < params.classes) {
        set_gradient(row.first + classes.w, values.w);
    }
}

@compute @workgroup_size(LANES, ROWS)
fn grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let row = row_of(folded(workgroup, grid) * ROWS + local.y, OF_ITEM);
    if (!row.inside) {
        return;
    }
    let item = items[row.g];
    let verdict = verdicts[row.g];
    let counts = row.t < item.frames;
    let step = step_of(row.t, item.frames);
    let paged = step.k >= params.page_step && step.k < params.page_end;
    if (!counts || verdict != OK || item.scale == 0.0) {
        if ((paged || !counts) && (counts || params.page_step == 0u)) {
            // Nothing to learn from: exactly 0, but NaN where the item's own input was none.
            let nothing = counts && verdict == NOT_FINITE && item.scale != 0.0;
            for (var c = lane; c < params.classes; c += LANES) {
                if (nothing) {
                    set_gradient_nan(row.first + c);
                } else {
                    set_gradient(row.first + c, 0.0);
                }
            }
        }
        return;
    }
    if (!paged) {
        return;
    }
    let places = places_of(step, row.g);
    let sums = weigh(places, item.labels);
    let inverse = 1.0 / sums.y;
    let norm = norm_of(row_stats[row.t * params.group + row.g]);
    for (var c = lane; c < params.classes; c += 4u * LANES) {
        let classes = classes_from(c);
        var weights = weights_of(row.g, c, places, item.labels);
        // A blank that stands among the labels is the blank's class still.
        weights += select(vec4<f32>(0.0), vec4<f32>(sums.x), classes == vec4<u32>(params.blank));
        set_row(row, classes, item.scale * derivative(entries(row, classes), norm, weights * inverse));
    }
}
