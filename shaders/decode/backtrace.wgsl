// backtrace: from the end of an item back through the backpointers that `align` kept: the state at each frame. Twin: src/decode/align.rs.
//
// in backpointers; carry: the scores at the end.  out states [G, T]; backtrace_states [G]: the state at which the next dispatch goes on;
// item_status: an item whose end no path reaches is impossible.
// grid one lane an item.  barriers: none.

override LANES: u32 = 32u;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> backpointers: array<u32>;
@group(0) @binding(3) var<storage, read> carry: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<u32>;
@group(0) @binding(5) var<storage, read_write> backtrace_states: array<u32>;
@group(0) @binding(6) var<storage, read_write> item_status: array<u32>;

// The score of place p's state, `part` 0 for its blank and 2 for its label.
fn score_at(g: u32, part: u32, p: u32) -> vec2<f32> {
    let at = 4u * (carry_part(0u, 0u, g, part) + p / 4u) + p % 4u;
    return vec2<f32>(carry[at], carry[at + 4u * params.quads]);
}

// The last label, or the blank after it where that is better.
fn end_of(g: u32, item: Item) -> u32 {
    let blank = score_at(g, 0u, item.labels);
    var best = blank;
    var state = 2u * item.labels;
    if (item.labels > 0u) {
        let label = score_at(g, 2u, item.labels - 1u);
        if (!(blank.x > label.x || (blank.x == label.x && blank.y > label.y))) {
            best = label;
            state -= 1u;
        }
    }
    if (best.x < -FINITE) {
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
    let g = folded(workgroup, grid) * LANES + lane;
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
        state = end_of(g, item);
    }
    for (var t = end; t > params.first_step; t--) {
        states[g * params.frames + t - 1u] = state;
        let place = state / 2u;
        let is_label = state % 2u == 1u;
        let word = backpointers[backpointer_row(t - 1u, g) + place / 4u];
        let how = word >> (16u * ((t - 1u) % 2u) + 4u * (place % 4u));
        state -= min(state, select(how & 1u, (how >> 1u) & 3u, is_label));
    }
    backtrace_states[g] = state;
}
