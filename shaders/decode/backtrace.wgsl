// backtrace: follows the backpointers of `viterbi` from the end of each item to its start, and
// writes the state at each frame. State 2i is the blank before label i, and 2i + 1 is label i. Must
// match src/decode/align.rs.
//
// in: items; backpointers; carry: the scores after the last frame.
// in, out: backtrace_states [G]: the state from which the next dispatch continues; item_status: an
// item without a possible path becomes IMPOSSIBLE.
// out: states [G, T].
// grid: one lane per item.
// barriers: none.

override LANES: u32 = 32u;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> backpointers: array<u32>;
@group(0) @binding(3) var<storage, read> carry: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<u32>;
@group(0) @binding(5) var<storage, read_write> backtrace_states: array<u32>;
@group(0) @binding(6) var<storage, read_write> item_status: array<u32>;

// The score of a state of `pair`, as a high and a low part. `part` is 0 for the blank and 2 for the
// label.
fn state_score(g: u32, part: u32, pair: u32) -> vec2<f32> {
    let at = 4u * (carry_part(0u, 0u, g, part) + pair / 4u) + pair % 4u;
    return vec2<f32>(carry[at], carry[at + 4u * params.quads]);
}

// The state in which the best path ends: the last label, or the blank after it if the blank's score
// is higher. Sets the item's status if neither is possible.
fn end_state(g: u32, item: Item) -> u32 {
    let blank = state_score(g, 0u, item.labels);
    var end_score = blank;
    var state = 2u * item.labels;
    if (item.labels > 0u) {
        let label = state_score(g, 2u, item.labels - 1u);
        if (!(blank.x > label.x || (blank.x == label.x && blank.y > label.y))) {
            end_score = label;
            state -= 1u;
        }
    }
    if (end_score.x < -MAX_PATH_SCORE) {
        item_status[g] = max(item_status[g], IMPOSSIBLE);
    }
    return state;
}

@compute @workgroup_size(LANES)
fn backtrace(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid) * LANES + lane;
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    if (item.sweeps == 0u) {
        return;
    }
    let end = min(params.end_step, item.frames);
    var state = backtrace_states[g];
    if (params.end_step >= item.frames && (params.first_step < item.frames || params.first_step == 0u)) {
        state = end_state(g, item);
    }
    for (var t = end; t > params.first_step; t--) {
        states[g * params.frames + t - 1u] = state;
        let pair = state / 2u;
        let is_label = state % 2u == 1u;
        let word = backpointers[backpointer_row(t - 1u, g) + pair / 4u];
        let bits = word >> (16u * ((t - 1u) % 2u) + 4u * (pair % 4u));
        state -= min(state, select(bits & 1u, (bits >> 1u) & 3u, is_label));
    }
    backtrace_states[g] = state;
}
