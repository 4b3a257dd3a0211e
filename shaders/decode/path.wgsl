// path: writes the class of the best path at each frame, and ln of the probability of this class.
// Must match src/decode/align.rs.
//
// in: the input; items, item_status, states, row_stats, label_table.
// out: path_classes [N, T]: -1 for a star, past the item's length and for items without a path;
// log_probs [N, T]: 0 where path_classes is -1.
// grid: one lane per frame.
// barriers: none.

override LANES: u32 = 64u;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<u32>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> states: array<u32>;
@group(0) @binding(6) var<storage, read> item_status: array<u32>;
@group(0) @binding(7) var<storage, read_write> path_classes: array<u32>;
@group(0) @binding(8) var<storage, read_write> log_probs: array<f32>;

// -1 as a signed integer.
const NONE: u32 = 0xffffffffu;

@compute @workgroup_size(LANES)
fn path(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(workgroup, grid) * LANES + lane;
    if (index >= params.tile_items * params.slice_frames) {
        return;
    }
    let g = index / params.slice_frames;
    let f = index - g * params.slice_frames;
    let t = params.first_frame + f;
    let out = params.label_base + g * params.frames + t;
    path_classes[out] = NONE;
    log_probs[out] = 0.0;
    if (item_status[g] != OK || t >= items[g].frames) {
        return;
    }
    let state = states[g * params.frames + t];
    var class_index = params.blank;
    if (state % 2u == 1u) {
        class_index = label_table[g * params.label_capacity + state / 2u] & ~TOP_BIT;
    }
    if (class_index < params.classes) {
        let row = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
        path_classes[out] = class_index;
        log_probs[out] = class_log_prob(
            input_bits(row + class_index),
            row_stats[t * params.tile_items + g],
        ).x;
    }
}
