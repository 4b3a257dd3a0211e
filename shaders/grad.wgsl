// grad: computes the gradient of those frames of an input slice that are in the segment. Each input
// element is read and its gradient written once, by the same lane, so the gradient may overwrite
// the input. Processes four frames of an item at once, because they all use the same label links.
//
// With OF_LABELS, `softmax_stats` has written the gradient of classes without labels and of frames
// past the item's length. Then only the classes of the labels and the blank are read and written,
// unless the item's gradient is NaN or 0 as a whole.
//
// formula, for logits: scale · (softmax - occupancy) (Graves et al. 2006, eq. 16); `derivative` has
// those of the other kinds of input. The occupancies of a frame are weights divided by their sum
// over all states. The division cancels any rounding error that the states of a frame have in
// common, and for logits it makes the rows of the gradient sum to 0.
// in: the input; items, final_status; lattice: the weights of labels and blanks; row_stats,
// next_label, first_of_class.
// out: the gradient, in the layout of the input.
// grid: LANES lanes per group of four frames, ROWS groups per workgroup.
// barriers: those of the fold.

override OF_LABELS: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> next_label: array<u32>;
@group(0) @binding(4) var<storage, read> first_of_class: array<u32>;
@group(0) @binding(5) var<storage, read> final_status: array<u32>;
@group(0) @binding(6) var<storage, read> lattice: array<f32>;
@group(0) @binding(8) var<storage, read> row_stats: array<vec2<f32>>;

// Four consecutive frames `t` of item `g`. A frame past the end of the slice is replaced by the
// last one of the slice, and `exists` is false, so it is not written. `first` are the indices of
// the frames' first elements in the binding. `inside` is false past the last item of the tile.
struct FourFrames {
    g: u32,
    inside: bool,
    exists: vec4<bool>,
    t: vec4<u32>,
    first: vec4<u32>,
}

fn four_frames(index: u32) -> FourFrames {
    let fours = (params.slice_frames + 3u) / 4u;
    let g = index / fours;
    let requested = 4u * (index - g * fours) + vec4<u32>(0u, 1u, 2u, 3u);
    let f = min(requested, vec4<u32>(params.slice_frames - 1u));
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return FourFrames(g, g < params.tile_items, requested == f, params.first_frame + f, first);
}

// A class and its word in `first_of_class`. `exists` is false for a label that is not the first of
// its class.
struct LinkedClass {
    exists: bool,
    c: u32,
    link: u32,
}

// The number of classes that lanes visit.
fn visited_classes(labels: u32) -> u32 {
    return select(params.classes, 1u + labels, OF_LABELS);
}

// Class `index` of those that lanes visit: of all classes, or of the blank and the first labels.
fn linked_class(g: u32, index: u32) -> LinkedClass {
    if (OF_LABELS && index > 0u) {
        let word = first_of_class[first_label_of_item(g) + index - 1u];
        return LinkedClass(word != NO_LABEL, word & ~TOP_BIT, (index - 1u) | (word & TOP_BIT));
    }
    let c = select(index, params.blank, OF_LABELS);
    return LinkedClass(true, c, first_of_class[g * params.classes + c]);
}

// The input entries of a class in the four frames.
fn class_entries(frames: FourFrames, c: u32) -> vec4<u32> {
    let at = frames.first + c;
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}

// Writes NaN at `at` in the frames where `written` is true.
fn set_frames_nan(at: vec4<u32>, written: vec4<bool>) {
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

// The direction and the step of each of four frames.
struct Steps {
    direction: vec4<u32>,
    k: vec4<u32>,
}

fn steps_at(t: vec4<u32>, frames: u32) -> Steps {
    let a = step_of(t.x, frames);
    let b = step_of(t.y, frames);
    let c = step_of(t.z, frames);
    let d = step_of(t.w, frames);
    return Steps(
        vec4<u32>(a.direction, b.direction, c.direction, d.direction),
        vec4<u32>(a.k, b.k, c.k, d.k),
    );
}

// Offsets into the lattice, one per frame: of the weight of the first label, and of the sum over
// the blanks of the first quad (see `lattice_part`).
struct WeightOffsets {
    labels: vec4<u32>,
    blanks: vec4<u32>,
}

fn weight_offsets(steps: Steps, g: u32) -> WeightOffsets {
    // The lattice has no weights for padding and for frames outside this segment. Such a frame
    // reads the weights of another frame, which are then not used.
    let k = clamp(steps.k, vec4<u32>(params.segment_begin), vec4<u32>(params.segment_end - 1u));
    let f = k % BLOCK;
    let block = vec4<u32>(
        lattice_part(k.x, steps.direction.x, g, 0u),
        lattice_part(k.y, steps.direction.y, g, 0u),
        lattice_part(k.z, steps.direction.z, g, 0u),
        lattice_part(k.w, steps.direction.w, g, 0u),
    );
    return WeightOffsets(4u * (block + f * params.quads), 4u * (block + 4u * params.quads) + f);
}

fn weights_at(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(lattice[at.x], lattice[at.y], lattice[at.z], lattice[at.w]);
}

// The number of lanes that read the quads: the smallest power of two that is not below the number
// of quads, at most LANES. The totals do not depend on it, since adding a 0 changes nothing.
fn quad_lanes() -> u32 {
    return min(1u << (32u - countLeadingZeros(max(params.quads, 1u) - 1u)), LANES);
}

// Sums the weights of the blanks and of all states over the quads of lane `first`.
fn lane_totals(offsets: WeightOffsets, labels: u32, first: u32) -> WeightTotals {
    var totals = WeightTotals(vec4<f32>(0.0), vec4<f32>(0.0));
    for (var q = first; q <= labels / 4u; q += LANES) {
        let blanks = weights_at(offsets.blanks + 4u * q);
        let label = offsets.labels + 4u * q;
        let labels = (weights_at(label) + weights_at(label + 1u))
            + (weights_at(label + 2u) + weights_at(label + 3u));
        totals.blanks += blanks;
        totals.all += blanks + labels;
    }
    return totals;
}

// Sums the weights of the labels of a class, in the order of the labels.
fn class_weights(g: u32, first_link: u32, offsets: WeightOffsets, labels: u32) -> vec4<f32> {
    var totals = vec4<f32>(0.0);
    var link = first_link;
    var i = link & ~TOP_BIT;
    while (i < labels) {
        totals += weights_at(offsets.labels + i);
        if ((link & TOP_BIT) == 0u) {
            break;
        }
        link = next_label[g * params.label_capacity + i];
        i = link & ~TOP_BIT;
    }
    return totals;
}

// Half the maximum of each frame (see `half_maximum`), and the factor that turns exp(x - row_max)
// into a probability. For PROBS, the factor is the reciprocal of the sum of p + ε over the classes
// of the frame. Log-probabilities need neither.
struct SoftmaxNorm {
    half_max: vec4<f32>,
    factor: vec4<f32>,
}

fn softmax_norm(frames: FourFrames, last: u32) -> SoftmaxNorm {
    let at = min(frames.t, vec4<u32>(last)) * params.tile_items + frames.g;
    let a = row_stats[at.x];
    let b = row_stats[at.y];
    let c = row_stats[at.z];
    let d = row_stats[at.w];
    let row_max = vec4<f32>(a.x, b.x, c.x, d.x);
    let sum = 1.0 + vec4<f32>(a.y, b.y, c.y, d.y);
    return SoftmaxNorm(half_maximum(row_max), 1.0 / select(sum, row_max * sum, INPUT == PROBS));
}

// The derivative of the loss with respect to the entries of a class, given the occupancies.
fn derivative(bits: vec4<u32>, norm: SoftmaxNorm, occupancy: vec4<f32>) -> vec4<f32> {
    if (INPUT == LOG_PROBS_EXACT) {
        return 0.0 - occupancy;
    }
    if (INPUT == PROBS) {
        let q = add_epsilon(bitcast<vec4<f32>>(bits_where(bits, finite(bits))));
        let is_positive = q >= vec4<f32>(MIN_PROB);
        return select(norm.factor, norm.factor - occupancy / max(q, vec4<f32>(MIN_PROB)), is_positive);
    }
    if (is_log_probs()) {
        // Not relative to the maximum: scores may exceed 0, and what is far below the maximum of
        // its frame is then still a probability that counts.
        return exp_plain(bits) - occupancy;
    }
    let e = exp_below(bitcast<vec4<f32>>(bits), norm.half_max);
    return fma(e, norm.factor, -occupancy);
}

@compute @workgroup_size(LANES, ROWS)
fn grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let frames = four_frames(workgroup_index(workgroup, grid) * ROWS + local.y);
    var item = Item(0u, 0u, 0.0, 0u);
    var status_code = OK;
    if (frames.inside) {
        item = items[frames.g];
        status_code = final_status[frames.g];
    }
    let valid = frames.t < vec4<u32>(item.frames);
    let steps = steps_at(frames.t, item.frames);
    let in_segment = (steps.k >= vec4<u32>(params.segment_begin)) & (steps.k < vec4<u32>(params.segment_end));
    // Frames past the item's length are written together with the first segment.
    let written = frames.exists & ((valid & in_segment) | (!valid & vec4<bool>(params.segment_begin == 0u)));
    let live = frames.inside && status_code == OK && item.scale != 0.0 && any(written & valid);
    let offsets = weight_offsets(steps, frames.g);
    let width = quad_lanes();
    var lane_sum = WeightTotals(vec4<f32>(0.0), vec4<f32>(0.0));
    if (live) {
        lane_sum = lane_totals(offsets, item.labels, lane % width);
    }
    let totals = fold_frames(lane, local.y, lane_sum, width);
    if (!frames.inside) {
        return;
    }
    if (!live && OF_LABELS && status_code == OK && item.scale != 0.0) {
        // Each of the four frames is padding.
        return;
    }
    if (!live) {
        // The item's status is not OK, its scale is 0, or each of the four frames is padding or
        // belongs to another dispatch. Writes NaN in valid frames if the status is NOT_FINITE and
        // the scale is not 0; otherwise 0.
        let is_nan = valid & vec4<bool>(status_code == NOT_FINITE && item.scale != 0.0);
        for (var c = lane; c < params.classes; c += LANES) {
            set_gradients(frames.first + c, written & !is_nan, vec4<f32>(0.0));
            set_frames_nan(frames.first + c, written & is_nan);
        }
        return;
    }
    // The total of padding or of a frame outside the segment may be 0, and 1 / 0 must not occur.
    let inverse = 1.0 / select(vec4<f32>(1.0), totals.all, valid & in_segment);
    let norm = softmax_norm(frames, item.frames - 1u);
    for (var i = lane; i < visited_classes(item.labels); i += LANES) {
        let linked = linked_class(frames.g, i);
        if (!linked.exists) {
            continue;
        }
        // Reads the entries before it looks up the labels, so that the two latencies overlap.
        let bits = class_entries(frames, linked.c);
        var weights = class_weights(frames.g, linked.link, offsets, item.labels);
        // `class_weights` returns 0 for the blank, unless labels may be the blank.
        if (linked.c == params.blank) {
            weights += totals.blanks;
        }
        let values = item.scale * derivative(bits, norm, weights * inverse);
        set_gradients(frames.first + linked.c, written, select(vec4<f32>(0.0), values, valid));
    }
}
