// softmax_stats: computes the row statistics of each frame: the maximum over the classes, and the
// sum of exp(x - max) minus 1. On a GPU also writes the emission table, from which the sweeps read.
// If the input is split into slices, so that a sweep cannot bind all of it, gathers the entries that
// each item needs instead. For greedy decoding, computes the most
// probable class of each frame and -ln of its probability instead.
//
// formula: p = y / (1 + sum_exp_m1), with y = exp(x - max) and sum_exp_m1 = Σ y - 1. For
// probabilities, y = (x + ε) / max. Log-probabilities are not normalised, so their sum is not used.
// in: the input [.., C]: logits, log-probabilities or probabilities; items; label_table, to gather.
// in, out: item_status: becomes NOT_FINITE if a row is invalid.
// out: row_stats [T, G]; gathered: the emission table (see `table_row`), or [step, direction, G, 1 +
// label_capacity]: the entry of the blank, then those of the labels.
// grid: LANES lanes per frame, ROWS frames per workgroup.
// barriers: those of the folds.

// What is written to `gathered`: nothing, the entries of the blank and of the labels, or the emission
// table: the emissions of the blank and of the labels, or of all classes. Must match `gather` in
// src/plan/tiling.rs.
const NOTHING: u32 = 0u;
const ENTRIES: u32 = 1u;
const EMISSIONS_OF_LABELS: u32 = 2u;
const EMISSIONS_OF_CLASSES: u32 = 3u;

override GATHER: u32 = 0u;
// True if the lanes hold a whole row in registers, so that it is read once.
override ROW_IN_REGISTERS: bool = false;
// True for greedy decoding.
override GREEDY: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> item_status: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> row_stats: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> gathered: array<u32>;

// The row of the input that a lane processes: frame t of item g, whose first element has the index
// `first` in the binding. `inside` is false past the last row of the tile and slice.
struct InputRow {
    inside: bool,
    g: u32,
    t: u32,
    first: u32,
}

// Row `index` of the tile and slice. The rows are counted in their order in memory.
fn input_row(index: u32) -> InputRow {
    // A single division, because divisions are slow.
    let by_frame = params.item_rows == 1u;
    let width = select(params.slice_frames, params.tile_items, by_frame);
    let major = index / width;
    let minor = index - major * width;
    let g = select(major, minor, by_frame);
    let f = select(minor, major, by_frame);
    let inside = index < params.tile_items * params.slice_frames;
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return InputRow(inside, g, params.first_frame + f, first);
}

// Four classes of a row, LANES apart, so that neighbouring lanes read neighbouring elements.
fn classes_from(c: u32) -> vec4<u32> {
    return vec4<u32>(c, c + LANES, c + 2u * LANES, c + 3u * LANES);
}

// The entries of four classes. Past the last class, the last one is read again.
fn entries(row: InputRow, classes: vec4<u32>) -> vec4<u32> {
    let at = row.first + min(classes, vec4<u32>(params.classes - 1u));
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}

// A probability p is valid if it is finite and p + ε is not negative. A logit or log-probability
// may be -inf, which is a probability of 0, but not NaN or +inf.
fn is_valid_value(bits: vec4<u32>) -> vec4<bool> {
    if (INPUT == PROBS) {
        return finite(bits) & (value(bits) >= vec4<f32>(0.0));
    }
    return finite(bits) | (bits == vec4<u32>(MINUS_INFINITY));
}

// The values whose maximum is computed: the entries, with ε added to probabilities. An entry that
// is not finite counts as LOWEST.
fn value(bits: vec4<u32>) -> vec4<f32> {
    let is_known = finite(bits);
    let x = bitcast<vec4<f32>>(bits_where(bits, is_known));
    if (INPUT == PROBS) {
        return select(vec4<f32>(LOWEST), add_epsilon(x), is_known);
    }
    return select(vec4<f32>(LOWEST), x, is_known);
}

// The term that a class with a value x below the maximum adds to sum_exp_m1.
fn contribution(x: vec4<f32>, row_max: f32) -> vec4<f32> {
    if (INPUT == LOGITS) {
        return exp_plain(minus_max(x, vec4<f32>(row_max)));
    }
    if (INPUT == PROBS) {
        return x / row_max;
    }
    return vec4<f32>(0.0);
}

// The negated index of the first of four classes that has the maximum, or LOWEST if none has it. It
// is negated because the fold over the lanes is a maximum. An f32 holds integers exactly up to
// 2^24, and the limit of loop iterations allows fewer classes.
fn first_maximal(bits: vec4<u32>, classes: vec4<u32>, row_max: f32) -> f32 {
    let is_max = (classes < vec4<u32>(params.classes)) & (value(bits) == vec4<f32>(row_max));
    let first = select(vec4<f32>(LOWEST), -vec4<f32>(classes), is_max);
    return max(max(first.x, first.y), max(first.z, first.w));
}

// Over the classes of a lane: the sum of the contributions below the maximum, the number of classes
// that have the maximum, and whether all values are valid.
struct ClassSums {
    others: vec4<f32>,
    at_max: vec4<f32>,
    valid: vec4<bool>,
}

fn add_classes(sums: ClassSums, bits: vec4<u32>, classes: vec4<u32>, row_max: f32) -> ClassSums {
    let exists = (classes < vec4<u32>(params.classes)) & finite(bits);
    let x = value(bits);
    let is_max = x == vec4<f32>(row_max);
    return ClassSums(
        sums.others + select(vec4<f32>(0.0), contribution(x, row_max), exists & !is_max),
        sums.at_max + select(vec4<f32>(0.0), vec4<f32>(1.0), exists & is_max),
        sums.valid & is_valid_value(bits),
    );
}

// The class of a column of `gathered`.
fn class_of_column(row: InputRow, column: u32) -> u32 {
    if (GATHER == EMISSIONS_OF_CLASSES) {
        return column;
    }
    if (column == 0u) {
        return params.blank;
    }
    // A star is not a class, and its gathered entry is not used.
    let class_index = label_table[row.g * params.label_capacity + column - 1u].x & ~TOP_BIT;
    return min(class_index, params.classes - 1u);
}

// Writes the row's words of `gathered`. `step` is that of the row's frame.
fn gather(row: InputRow, item: Item, step: Step, lane: u32, row_max: f32) {
    let of_classes = GATHER == EMISSIONS_OF_CLASSES;
    let columns = select(item.labels + 1u, params.classes, of_classes);
    for (var i = lane; i < columns; i += LANES) {
        let bits = input_bits(row.first + class_of_column(row, i));
        if (GATHER == ENTRIES) {
            gathered[gathered_row(step.k, step.direction, row.g) + i] = bits;
        } else {
            let at = table_row(step.k, step.direction, row.g, of_classes) + i;
            let words = table_words(emission(vec4<u32>(bits), vec4<f32>(row_max), vec4<bool>(true)));
            gathered[4u * at + step.k % BLOCK] = words.x;
        }
    }
}

@compute @workgroup_size(LANES, ROWS)
fn softmax_stats(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let lane = local.x;
    let row = input_row(workgroup_index(workgroup, grid) * ROWS + local.y);
    var item = Item(0u, 0u, 0.0, 0u);
    if (row.inside) {
        item = items[row.g];
    }
    let is_valid_frame = row.inside && row.t < item.frames;
    let step = step_of(row.t, item.frames);
    let live = is_valid_frame && step.k >= params.segment_begin && step.k < params.segment_end;

    var row_entries = vec4<u32>(0u);
    var maxima = vec4<f32>(LOWEST);
    if (live && ROW_IN_REGISTERS) {
        row_entries = entries(row, classes_from(lane));
        maxima = value(row_entries);
    } else if (live) {
        for (var c = lane; c < params.classes; c += 4u * LANES) {
            maxima = max(maxima, value(entries(row, classes_from(c))));
        }
    }
    var row_max = fold_max(lane, local.y, max(max(maxima.x, maxima.y), max(maxima.z, maxima.w)));
    if (INPUT == PROBS) {
        // `contribution` divides by row_max, which could otherwise be 0 or less in an invalid row.
        row_max = max(row_max, MIN_PROB);
    }
    var sums = ClassSums(vec4<f32>(0.0), vec4<f32>(0.0), vec4<bool>(true));
    var first = LOWEST;
    if (live && ROW_IN_REGISTERS) {
        sums = add_classes(sums, row_entries, classes_from(lane), row_max);
        first = first_maximal(row_entries, classes_from(lane), row_max);
    } else if (live) {
        for (var c = lane; c < params.classes; c += 4u * LANES) {
            let bits = entries(row, classes_from(c));
            sums = add_classes(sums, bits, classes_from(c), row_max);
            if (GREEDY) {
                first = max(first, first_maximal(bits, classes_from(c), row_max));
            }
        }
    }
    var best_class = 0.0;
    if (GREEDY) {
        best_class = clamp(-fold_max(lane, local.y, first), 0.0, f32(params.classes - 1u));
    }
    if (live && !all(sums.valid)) {
        atomicMax(&item_status[row.g], NOT_FINITE);
    }
    let others = sums.others;
    let lane_sum = vec2<f32>(
        (others.x + others.y) + (others.z + others.w),
        dot(sums.at_max, vec4<f32>(1.0)),
    );
    let sum = fold_sums(lane, local.y, lane_sum);
    if (!live) {
        return;
    }
    if (lane == 0u) {
        // No class has a probability above 0, or the maximum of log-probabilities is out of range.
        if (sum.y == 0.0 || (is_log_probs() && (row_max <= -MAX_NATS || row_max > MAX_LOG_PROB))) {
            atomicMax(&item_status[row.g], NOT_FINITE);
        }
        let sum_exp_m1 = max(sum.y - 1.0, 0.0) + sum.x;
        var stats = vec2<f32>(row_max, sum_exp_m1);
        if (GREEDY && (INPUT == LOGITS || INPUT == PROBS)) {
            stats = vec2<f32>(best_class, ln_1_plus_any(vec4<f32>(sum_exp_m1)).x);
        } else if (GREEDY) {
            stats = vec2<f32>(best_class, -row_max);
        }
        row_stats[row.t * params.tile_items + row.g] = stats;
    }
    if (GATHER != NOTHING) {
        gather(row, item, step, lane, row_max);
    }
}
