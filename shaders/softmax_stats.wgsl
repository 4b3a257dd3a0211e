// softmax_stats: what each frame is divided by: its maximum, and what its other classes add to that. Where the input is cut
// into chunks, so that a sweep cannot read it, the entries that an item needs are gathered too.
//
// For a greedy reading it is the likeliest class, and -ln of its probability.
//
// in input [.., C]: logits, log-probs or probs.  out row_stats [T, G]; gathered [step, direction, G, 1 + width]: the
// blank's entry, then each label's; item_status.
// formula p = y / (1 + excess);  y = exp(x - max), excess = Σ exp(x - max) - 1.
// grid LANES lanes a frame, ROWS frames a workgroup.  barriers: those of the folds.

override GATHER: bool = false;
// Whether the lanes hold a row all at once, so that it is read once.
override ONCE: bool = false;
override BEST: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> item_status: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> row_stats: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> gathered: array<u32>;

// The row of the input that a lane works on.
struct Row {
    inside: bool,
    g: u32,
    t: u32,
    first: u32,
}

// Neighbouring rows are neighbours in memory.
fn row_of(index: u32) -> Row {
    // One division: it is dear.
    let by_frame = params.item_rows == 1u;
    let width = select(params.slice_frames, params.tile_items, by_frame);
    let major = index / width;
    let minor = index - major * width;
    let g = select(major, minor, by_frame);
    let f = select(minor, major, by_frame);
    let inside = index < params.tile_items * params.slice_frames;
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return Row(inside, g, params.first_frame + f, first);
}

// Four classes of a row, LANES apart, so that what neighbouring lanes read lies side by side.
fn classes_from(c: u32) -> vec4<u32> {
    return vec4<u32>(c, c + LANES, c + 2u * LANES, c + 3u * LANES);
}

// What stands there; the last class again where there is none.
fn entries(row: Row, classes: vec4<u32>) -> vec4<u32> {
    let at = row.first + min(classes, vec4<u32>(params.classes - 1u));
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}

// Whether a frame that holds this has a meaning: -inf does, for a probability of 0; NaN and +inf do not.
fn has_meaning(bits: vec4<u32>) -> vec4<bool> {
    if (INPUT == PROBS) {
        return finite(bits) & (score(bits) >= vec4<f32>(0.0));
    }
    return finite(bits) | (bits == vec4<u32>(MINUS_INFINITY));
}

// What the frame's maximum is taken of: the lowest of all where the input is not finite.
fn score(bits: vec4<u32>) -> vec4<f32> {
    let known = finite(bits);
    let x = bitcast<vec4<f32>>(only(bits, known));
    if (INPUT == PROBS) {
        return select(vec4<f32>(LOWEST), biased(x), known);
    }
    return select(vec4<f32>(LOWEST), x, known);
}

// What a class below the maximum adds to the frame's excess.
fn share(x: vec4<f32>, top: f32) -> vec4<f32> {
    if (INPUT == LOGITS) {
        return exp_plain(below(x, vec4<f32>(top)));
    }
    if (INPUT == PROBS) {
        return x / top;
    }
    return vec4<f32>(0.0);
}

// The first class at the maximum, negative, for a maximum over lanes; floats count exactly to 2^24, beyond the most classes.
fn first_at(bits: vec4<u32>, classes: vec4<u32>, top: f32) -> f32 {
    let is_top = (classes < vec4<u32>(params.classes)) & (score(bits) == vec4<f32>(top));
    let first = select(vec4<f32>(LOWEST), -vec4<f32>(classes), is_top);
    return max(max(first.x, first.y), max(first.z, first.w));
}

// What a frame's classes add up to: those below the maximum, those at it, and whether all have a meaning.
struct Sums {
    others: vec4<f32>,
    likeliest: vec4<f32>,
    meaningful: vec4<bool>,
}

fn added(totals: Sums, bits: vec4<u32>, classes: vec4<u32>, top: f32) -> Sums {
    let there = (classes < vec4<u32>(params.classes)) & finite(bits);
    let x = score(bits);
    let is_top = x == vec4<f32>(top);
    return Sums(
        totals.others + select(vec4<f32>(0.0), share(x, top), there & !is_top),
        totals.likeliest + select(vec4<f32>(0.0), vec4<f32>(1.0), there & is_top),
        totals.meaningful & has_meaning(bits),
    );
}

@compute @workgroup_size(LANES, ROWS)
fn softmax_stats(
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
    let live = counts && step.k >= params.segment_begin && step.k < params.segment_end;

    var held = vec4<u32>(0u);
    var tops = vec4<f32>(LOWEST);
    if (live && ONCE) {
        held = entries(row, classes_from(lane));
        tops = score(held);
    } else if (live) {
        for (var c = lane; c < params.classes; c += 4u * LANES) {
            tops = max(tops, score(entries(row, classes_from(c))));
        }
    }
    var top = fold_max(lane, local.y, max(max(tops.x, tops.y), max(tops.z, tops.w)));
    if (INPUT == PROBS) {
        // What has no meaning must not be divided by.
        top = max(top, SMALLEST);
    }
    var totals = Sums(vec4<f32>(0.0), vec4<f32>(0.0), vec4<bool>(true));
    var first = LOWEST;
    if (live && ONCE) {
        totals = added(totals, held, classes_from(lane), top);
        first = first_at(held, classes_from(lane), top);
    } else if (live) {
        for (var c = lane; c < params.classes; c += 4u * LANES) {
            let bits = entries(row, classes_from(c));
            totals = added(totals, bits, classes_from(c), top);
            if (BEST) {
                first = max(first, first_at(bits, classes_from(c), top));
            }
        }
    }
    var likeliest = 0.0;
    if (BEST) {
        likeliest = clamp(-fold_max(lane, local.y, first), 0.0, f32(params.classes - 1u));
    }
    if (live && !all(totals.meaningful)) {
        atomicMax(&item_status[row.g], NOT_FINITE);
    }
    let others = totals.others;
    let own = vec2<f32>((others.x + others.y) + (others.z + others.w), dot(totals.likeliest, vec4<f32>(1.0)));
    let sum = fold_sums(lane, local.y, own);
    if (!live) {
        return;
    }
    if (lane == 0u) {
        // No likeliest class: none has any probability.
        if (sum.y == 0.0 || (is_log_probs() && (top <= -LEAST || top > MOST))) {
            atomicMax(&item_status[row.g], NOT_FINITE);
        }
        let excess = max(sum.y - 1.0, 0.0) + sum.x;
        var found = vec2<f32>(top, excess);
        if (BEST && (INPUT == LOGITS || INPUT == PROBS)) {
            found = vec2<f32>(likeliest, ln_1_plus_any(vec4<f32>(excess)).x);
        } else if (BEST) {
            found = vec2<f32>(likeliest, -top);
        }
        row_stats[row.t * params.tile_items + row.g] = found;
    }
    if (GATHER) {
        let out = gathered_row(step.k, step.direction, row.g);
        for (var i = lane; i <= item.labels; i += LANES) {
            var class_ = params.blank;
            if (i > 0u) {
                // A star is no class; nobody looks at what stands here for it.
                class_ = min(label_table[row.g * params.label_capacity + i - 1u].x & ~FLAG, params.classes - 1u);
            }
            gathered[out + i] = input_bits(row.first + class_);
        }
    }
}
