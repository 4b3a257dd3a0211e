// softmax_stats: computes the row statistics of each frame: the maximum over the classes, and the
// sum of exp(x - max) minus 1. For greedy decoding, computes the most probable class of each frame
// and -ln of its probability instead. With WRITE_GATHERED, also writes the array `gathered`: on a
// GPU the emission table, from which the sweeps read; if the input is split into slices, so that a
// sweep cannot bind all of it, the entries that each item needs.
//
// On a GPU, if a row of logits has many more classes than labels, also writes the gradient as if no
// class had a label: scale · softmax, and 0 in frames past an item's length. `grad` then reads and
// writes the classes of the labels only, and the input is read once.
//
// formula: p = y / (1 + sum_exp_m1), with y = exp(x - max) and sum_exp_m1 = Σ y - 1. For
// probabilities, y = (x + ε) / max. Log-probabilities are not normalised, so their sum is not used.
// in: the input [.., C]: logits, log-probabilities or probabilities; items; label_table, to gather.
// in, out: item_status: becomes NOT_FINITE if a row is invalid.
// out: row_stats [T, G]; gathered: the emission table (see `table_row`), or the gathered entries
// [step, direction, G, 1 + label_capacity]: the entry of the blank, then those of the labels; the
// gradient, in the layout of the input.
// grid: LANES lanes per frame, ROWS frames per workgroup.
// barriers: those of the folds.

// The values of WRITE_GATHERED, by what is written to `gathered`: nothing; the entries of the blank
// and of the labels; or an emission table, with columns for the blank and the labels, or for all
// classes. Must match `gather` in src/plan/tiling.rs.
const NOTHING: u32 = 0u;
const ENTRIES: u32 = 1u;
const EMISSIONS_OF_LABELS: u32 = 2u;
const EMISSIONS_OF_CLASSES: u32 = 3u;

override WRITE_GATHERED: u32 = 0u;
// True for greedy decoding.
override GREEDY: bool = false;
// True if the gradient of a held row of logits is written. The source then has row_gradient_*.wgsl
// with the binding of the gradient.
override WRITE_GRADIENT: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<u32>;
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
    return InputRow(inside, g, params.first_frame + f, first_of_frame(g, f));
}

// The bits where the condition holds, else those of LOWEST.
fn bits_or_lowest(bits: vec4<u32>, condition: vec4<bool>) -> vec4<u32> {
    return bits_where(bits, condition) | bits_where(vec4<u32>(LOWEST_BITS), !condition);
}

// The bits of the values of vector k of a lane. All four classes exist if `all_exist` is true;
// otherwise, a class past the last one has the value LOWEST. The values are the entries, with ε
// added to probabilities. The value of an invalid probability is NaN: a probability is valid if it
// is finite and p + ε is not negative.
fn values(row: InputRow, lane: u32, k: u32, all_exist: bool) -> vec4<u32> {
    var bits = vector_bits(row.first, lane, k, all_exist);
    if (INPUT == PROBS) {
        let is_known = finite(bits);
        let y = add_epsilon(bitcast<vec4<f32>>(bits_where(bits, is_known)));
        let is_valid = is_known & (y >= vec4<f32>(0.0));
        bits = bits_where(bitcast<vec4<u32>>(y), is_valid) | bits_where(vec4<u32>(NAN), !is_valid);
    }
    if (all_exist) {
        return bits;
    }
    return bits_or_lowest(bits, exist(vector_classes(lane, k)));
}

// Extrema of the bits of a lane's values, from which follow the maximum of the values and whether
// all of them are valid. The bits of floats that are not negative are ordered as the floats are;
// those of negative floats are in reverse.
struct Extrema {
    highest: vec4<i32>,
    lowest: vec4<i32>,
    highest_unsigned: vec4<u32>,
}

fn no_extrema() -> Extrema {
    let lowest = vec4<u32>(LOWEST_BITS);
    return Extrema(bitcast<vec4<i32>>(lowest), bitcast<vec4<i32>>(lowest), lowest);
}

fn add_extrema(extrema: Extrema, bits: vec4<u32>) -> Extrema {
    let signed = bitcast<vec4<i32>>(bits);
    return Extrema(
        max(extrema.highest, signed),
        min(extrema.lowest, signed),
        max(extrema.highest_unsigned, bits),
    );
}

// The bits of the maximum of a lane's values, and whether all of them are valid: neither NaN nor
// +inf.
struct LaneMax {
    bits: u32,
    valid: bool,
}

// The maximum is finite: it is LOWEST if all values are -inf.
fn lane_max(extrema: Extrema) -> LaneMax {
    let h = max(extrema.highest.xy, extrema.highest.zw);
    let l = min(extrema.lowest.xy, extrema.lowest.zw);
    let u = max(extrema.highest_unsigned.xy, extrema.highest_unsigned.zw);
    let highest = max(h.x, h.y);
    let lowest = min(l.x, l.y);
    let positive = bitcast<u32>(min(highest, HIGHEST_BITS));
    let negative = min(bitcast<u32>(lowest), LOWEST_BITS);
    return LaneMax(
        select(negative, positive, highest >= 0),
        highest <= HIGHEST_BITS && max(u.x, u.y) <= MINUS_INFINITY,
    );
}

// The bits that replace the maximum in a row that is held. They contribute 0. In a valid row, +inf
// stands for nothing else.
fn taken_bits() -> u32 {
    return select(LOWEST_BITS, PLUS_INFINITY, WRITE_GRADIENT);
}

// The terms that classes below the maximum add to sum_exp_m1. A value of LOWEST, of -inf or, for
// logits, of +inf adds 0.
fn contribution(bits: vec4<u32>, row_max: f32) -> vec4<f32> {
    if (INPUT == LOGITS) {
        // A lower `half_max` could be near that of LOWEST. If the maximum is lower, all other
        // values are too far below it to count.
        let half_max = max(half_maximum(vec4<f32>(row_max)), vec4<f32>(0.25 * LOWEST));
        return exp_below(bitcast<vec4<f32>>(bits), half_max);
    }
    if (INPUT == PROBS) {
        let limit = vec4<i32>(bitcast<i32>(row_max));
        let positive = clamp(bitcast<vec4<i32>>(bits), vec4<i32>(0), limit);
        return bitcast<vec4<f32>>(positive) / row_max;
    }
    return vec4<f32>(0.0);
}

// The classes of a lane that have the maximum of the row: their number, and the negated index of
// the first of them, or LOWEST if there is none. The index is negated because the fold over the
// lanes is a maximum. An f32 holds integers exactly up to 2^24, and the limit of loop iterations
// allows fewer classes.
struct Maxima {
    count: f32,
    first: f32,
}

fn no_maxima() -> Maxima {
    return Maxima(0.0, LOWEST);
}

// True for values that equal the one with the bits `max_bits`. Zeros of both signs are equal.
fn at_maximum(bits: vec4<u32>, max_bits: u32) -> vec4<bool> {
    let negated = select(max_bits, max_bits ^ 0x80000000u, max_bits << 1u == 0u);
    return (bits == vec4<u32>(max_bits)) | (bits == vec4<u32>(negated));
}

// exp(x - max) of values, given their contributions.
fn weights(bits: vec4<u32>, contributions: vec4<f32>) -> vec4<f32> {
    return select(contributions, vec4<f32>(1.0), bits == vec4<u32>(taken_bits()));
}

// The factors of the gradient of a row: the item's scale, 1 / (1 + sum_exp_m1), and minus the
// occupancy of a class without labels.
struct GradientFactors {
    scale: f32,
    factor: f32,
    negated_occupancy: f32,
}

// In a row of padding, the gradient is 0. Hides from compilers the value of sum_exp_m1, and that
// the occupancy is 0 (`params.unused` is 0): they must not simplify what `grad` computes too, since
// both must have the same bits.
fn gradient_factors(scale: f32, sum_exp_m1: f32, live: bool) -> GradientFactors {
    let sum = 1.0 + opaque(vec4<f32>(sum_exp_m1)).x;
    return GradientFactors(select(0.0, scale, live), 1.0 / sum, -f32(params.unused));
}

// The gradient of classes without labels, as in `derivative` of grad.wgsl.
fn softmax_gradient(weights: vec4<f32>, factors: GradientFactors) -> vec4<f32> {
    let negated_occupancy = vec4<f32>(factors.negated_occupancy);
    return factors.scale * fma(weights, vec4<f32>(factors.factor), negated_occupancy);
}

// The maxima after a vector, and the bits of its values with `taken_bits` in place of the maximum.
struct Taken {
    maxima: Maxima,
    bits: vec4<u32>,
}

// Adds vector k of a lane.
fn take_maxima(maxima: Maxima, bits: vec4<u32>, lane: u32, k: u32, max_bits: u32) -> Taken {
    let is_max = at_maximum(bits, max_bits);
    let rest = bits_where(bits, !is_max) | bits_where(vec4<u32>(taken_bits()), is_max);
    // The value of a class past the last one may be that of the maximum.
    let counts = is_max & exist(vector_classes(lane, k));
    var result = maxima;
    result.count += dot(select(vec4<f32>(0.0), vec4<f32>(1.0), counts), vec4<f32>(1.0));
    if (GREEDY) {
        let first = select(vec4<f32>(LOWEST), -vec4<f32>(vector_classes(lane, k)), counts);
        result.first = max(result.first, max(max(first.x, first.y), max(first.z, first.w)));
    }
    return Taken(result, rest);
}

// The class of a column of `gathered`.
fn class_of_column(row: InputRow, column: u32) -> u32 {
    if (WRITE_GATHERED == EMISSIONS_OF_CLASSES) {
        return column;
    }
    if (column == 0u) {
        return params.blank;
    }
    // A star is not a class, and its gathered entry is not used.
    let class_index = label_table[row.g * params.label_capacity + column - 1u] & ~TOP_BIT;
    return min(class_index, params.classes - 1u);
}

// Writes the columns of `gathered` at the row's frame. `step` is the step of that frame.
fn gather(row: InputRow, item: Item, step: Step, lane: u32, row_max: f32) {
    let of_classes = WRITE_GATHERED == EMISSIONS_OF_CLASSES;
    let columns = select(item.labels + 1u, params.classes, of_classes);
    for (var i = lane; i < columns; i += LANES) {
        let bits = input_bits(row.first + class_of_column(row, i));
        if (WRITE_GATHERED == ENTRIES) {
            gathered[gathered_row(step.k, step.direction, row.g) + i] = bits;
        } else {
            let at = table_row(step.k, step.direction, row.g, of_classes) + i;
            let words = table_words(emission(vec4<u32>(bits), vec4<f32>(row_max)));
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

    var held: HeldRow;
    var extrema = no_extrema();
    if (live && ROW_VECTORS > 0u) {
        held = held_row(row, lane);
        extrema = held_extrema(held);
    } else if (live) {
        for (var k = 0u; first_class(lane, k) < params.classes; k++) {
            extrema = add_extrema(extrema, values(row, lane, k, false));
        }
    }
    let own = lane_max(extrema);
    if (live && !own.valid) {
        atomicMax(&item_status[row.g], NOT_FINITE);
    }
    let own_max = bitcast<f32>(own.bits);
    var row_max = fold_max(lane, local.y, own_max);
    if (INPUT == PROBS) {
        // `contribution` divides by row_max, which could otherwise be 0 or less in an invalid row.
        row_max = max(row_max, MIN_PROB);
    }
    // Most lanes do not have the maximum, and do not compare their values with it.
    var maxima = no_maxima();
    var sums = vec4<f32>(0.0);
    if (live && ROW_VECTORS > 0u) {
        if (own_max == row_max) {
            let taken = held_maxima(held, lane, own.bits);
            maxima = taken.maxima;
            held = taken.row;
        }
        let added = held_sums(held, row_max);
        sums = added.sums;
        held = added.row;
    } else if (live) {
        for (var k = 0u; first_class(lane, k) < params.classes; k++) {
            var bits = values(row, lane, k, false);
            if (own_max == row_max) {
                let taken = take_maxima(maxima, bits, lane, k, own.bits);
                maxima = taken.maxima;
                bits = taken.bits;
            }
            sums += contribution(bits, row_max);
        }
    }
    var best_class = 0.0;
    if (GREEDY) {
        best_class = clamp(-fold_max(lane, local.y, maxima.first), 0.0, f32(params.classes - 1u));
    }
    let lane_sum = vec2<f32>((sums.x + sums.y) + (sums.z + sums.w), maxima.count);
    let sum = fold_sums(lane, local.y, lane_sum);
    let sum_exp_m1 = max(sum.y - 1.0, 0.0) + sum.x;
    if (WRITE_GRADIENT && row.inside) {
        write_held_row(row, lane, held, gradient_factors(item.scale, sum_exp_m1, live));
    }
    if (!live) {
        return;
    }
    if (lane == 0u) {
        // No class has a probability above 0, or the maximum of log-probabilities is out of range.
        if (sum.y == 0.0 || (is_log_probs() && (row_max <= -MAX_NATS || row_max > MAX_LOG_PROB))) {
            atomicMax(&item_status[row.g], NOT_FINITE);
        }
        var stats = vec2<f32>(row_max, sum_exp_m1);
        if (GREEDY && (INPUT == LOGITS || INPUT == PROBS)) {
            stats = vec2<f32>(best_class, ln_1_plus_any(vec4<f32>(sum_exp_m1)).x);
        } else if (GREEDY) {
            stats = vec2<f32>(best_class, -row_max);
        }
        row_stats[row.t * params.tile_items + row.g] = stats;
    }
    if (WRITE_GATHERED != NOTHING) {
        gather(row, item, step, lane, row_max);
    }
}
