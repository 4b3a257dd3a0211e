// grad: the gradient of every frame of a chunk, each element written once by the lane that has read its input: so it may
// lie where the input does. Four frames of an item at a time, since all of them look up the same labels.
//
// formula scale · (softmax - occupancy), the occupancies of a frame divided by their own sum: what rounding did to all
// states of a frame alike falls out, and the rows of the gradient sum to 0.
// in input, lattice (weights of labels and blanks), row_stats, label_table, first_of_class.  out gradient, as the input.
// grid LANES lanes four frames, ROWS such fours a workgroup.  barriers: those of the fold.

@group(0) @binding(3) var<storage, read> items: array<Item>;
@group(0) @binding(4) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> first_of_class: array<u32>;
@group(0) @binding(6) var<storage, read> item_status: array<u32>;
@group(0) @binding(7) var<storage, read> lattice: array<f32>;
@group(0) @binding(8) var<storage, read> row_stats: array<vec2<f32>>;

// Four neighbouring frames of an item; the last of a chunk again where there is none, which is then not written.
struct Frames {
    g: u32,
    inside: bool,
    there: vec4<bool>,
    t: vec4<u32>,
    first: vec4<u32>,
}

fn frames_of(index: u32) -> Frames {
    let fours = (params.slice_frames + 3u) / 4u;
    let g = index / fours;
    let wanted = 4u * (index - g * fours) + vec4<u32>(0u, 1u, 2u, 3u);
    let f = min(wanted, vec4<u32>(params.slice_frames - 1u));
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return Frames(g, g < params.tile_items, wanted == f, params.first_frame + f, first);
}

fn entries(frames: Frames, c: u32) -> vec4<u32> {
    let at = frames.first + c;
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}

fn set_frames(frames: Frames, c: u32, written: vec4<bool>, values: vec4<f32>) {
    let at = frames.first + c;
    if (written.x) {
        set_gradient(at.x, values.x);
    }
    if (written.y) {
        set_gradient(at.y, values.y);
    }
    if (written.z) {
        set_gradient(at.z, values.z);
    }
    if (written.w) {
        set_gradient(at.w, values.w);
    }
}

fn set_frames_nan(frames: Frames, c: u32, written: vec4<bool>) {
    let at = frames.first + c;
    if (written.x) {
        set_gradient_nan(at.x);
    }
    if (written.y) {
        set_gradient_nan(at.y);
    }
    if (written.z) {
        set_gradient_nan(at.z);
    }
    if (written.w) {
        set_gradient_nan(at.w);
    }
}

struct Steps {
    direction: vec4<u32>,
    k: vec4<u32>,
}

fn steps_at(t: vec4<u32>, frames: u32) -> Steps {
    let a = step_of(t.x, frames);
    let b = step_of(t.y, frames);
    let c = step_of(t.z, frames);
    let d = step_of(t.w, frames);
    return Steps(vec4<u32>(a.direction, b.direction, c.direction, d.direction), vec4<u32>(a.k, b.k, c.k, d.k));
}

// Where the weights of each frame stand, and their totals.
struct Places {
    labels: vec4<u32>,
    totals: vec4<u32>,
}

fn places_of(steps: Steps, g: u32) -> Places {
    // A frame that is not of this page has no place: it looks at another's, and is not written.
    let k = clamp(steps.k, vec4<u32>(params.segment_begin), vec4<u32>(params.segment_end - 1u));
    let f = k % BLOCK;
    let block = vec4<u32>(
        lattice_part(k.x, steps.direction.x, g, 0u),
        lattice_part(k.y, steps.direction.y, g, 0u),
        lattice_part(k.z, steps.direction.z, g, 0u),
        lattice_part(k.w, steps.direction.w, g, 0u),
    );
    return Places(4u * (block + f * params.quads), 4u * (block + 4u * params.quads) + f);
}

fn weights_at(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(lattice[at.x], lattice[at.y], lattice[at.z], lattice[at.w]);
}

// What a lane adds to the weights of the blanks and of all states.
fn weigh(places: Places, labels: u32, lane: u32) -> Sums {
    var totals = Sums(vec4<f32>(0.0), vec4<f32>(0.0));
    for (var q = lane; q <= labels / 4u; q += LANES) {
        let at = places.totals + 4u * q;
        let blanks = weights_at(at);
        totals.blanks += blanks;
        totals.all += blanks + weights_at(at + 4u * params.quads);
    }
    return totals;
}

// The weights of a class, its labels taken in their order.
fn weights_of(g: u32, c: u32, places: Places, labels: u32) -> vec4<f32> {
    var totals = vec4<f32>(0.0);
    var link = first_of_class[g * params.classes + c];
    var i = link & ~FLAG;
    while (i < labels) {
        totals += weights_at(places.labels + i);
        if ((link & FLAG) == 0u) {
            break;
        }
        link = label_table[g * params.label_capacity + i].y;
        i = link & ~FLAG;
    }
    return totals;
}

// A frame's maximum, and what its entries, relative to that, are multiplied with.
struct Norm {
    top: vec4<f32>,
    factor: vec4<f32>,
}

fn norm_of(frames: Frames, last: u32) -> Norm {
    let at = min(frames.t, vec4<u32>(last)) * params.tile_items + frames.g;
    let a = row_stats[at.x];
    let b = row_stats[at.y];
    let c = row_stats[at.z];
    let d = row_stats[at.w];
    let top = vec4<f32>(a.x, b.x, c.x, d.x);
    let excess = vec4<f32>(a.y, b.y, c.y, d.y);
    let factor = select(vec4<f32>(1.0), top, INPUT == PROBS);
    return Norm(top, 1.0 / (factor * (1.0 + excess)));
}

// The derivative of the loss with respect to a class's entries, for these occupancies.
fn derivative(bits: vec4<u32>, norm: Norm, occupancy: vec4<f32>) -> vec4<f32> {
    let known = finite(bits);
    let x = bitcast<vec4<f32>>(only(bits, known));
    if (INPUT == LOGITS) {
        return select(vec4<f32>(0.0), exp_plain(below(x, norm.top)) * norm.factor, known) - occupancy;
    }
    if (INPUT == LOG_PROBS) {
        return select(vec4<f32>(0.0), exp_plain(x), known) - occupancy;
    }
    if (INPUT == LOG_PROBS_EXACT) {
        return 0.0 - occupancy;
    }
    let q = biased(x);
    let some = q >= vec4<f32>(SMALLEST);
    return select(norm.factor, norm.factor - occupancy / max(q, vec4<f32>(SMALLEST)), some);
}

@compute @workgroup_size(LANES, ROWS)
fn grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let frames = frames_of(folded(workgroup, grid) * ROWS + local.y);
    var item = Item(0u, 0u, 0.0, 0u);
    var verdict = OK;
    if (frames.inside) {
        item = items[frames.g];
        verdict = item_status[frames.g];
    }
    let counts = frames.t < vec4<u32>(item.frames);
    let steps = steps_at(frames.t, item.frames);
    let paged = (steps.k >= vec4<u32>(params.segment_begin)) & (steps.k < vec4<u32>(params.segment_end));
    // Frames past the item's are written with its first page.
    let written = frames.there & ((counts & paged) | (!counts & vec4<bool>(params.segment_begin == 0u)));
    let live = frames.inside && verdict == OK && item.scale != 0.0 && any(written & counts);
    let places = places_of(steps, frames.g);
    var own = Sums(vec4<f32>(0.0), vec4<f32>(0.0));
    if (live) {
        own = weigh(places, item.labels, lane);
    }
    let totals = fold_frames(lane, local.y, own);
    if (!frames.inside) {
        return;
    }
    if (!live) {
        // Nothing to learn from: exactly 0, but NaN where the item's own input was none.
        let nothing = counts & vec4<bool>(verdict == NOT_FINITE && item.scale != 0.0);
        for (var c = lane; c < params.classes; c += LANES) {
            set_frames(frames, c, written & !nothing, vec4<f32>(0.0));
            set_frames_nan(frames, c, written & nothing);
        }
        return;
    }
    // No division by the 0 that a frame without a place may have.
    let inverse = 1.0 / select(vec4<f32>(1.0), totals.all, counts & paged);
    let norm = norm_of(frames, item.frames - 1u);
    for (var c = lane; c < params.classes; c += LANES) {
        var weights = weights_of(frames.g, c, places, item.labels);
        // A blank that stands among the labels is the blank's class still.
        if (c == params.blank) {
            weights += totals.blanks;
        }
        let values = item.scale * derivative(entries(frames, c), norm, weights * inverse);
        set_frames(frames, c, written, select(vec4<f32>(0.0), values, counts));
    }
}
