// path_log_prob: ln of the probability of an item's path, and how the item went. Twin: src/decode/align.rs.
//
// in log_probs [N, T].  out loss, status [N].
// grid one workgroup an item.  barriers: those of the fold.

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> item_status: array<u32>;
@group(0) @binding(3) var<storage, read> log_probs: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<u32>;
@group(0) @binding(5) var<storage, read_write> status: array<u32>;

@compute @workgroup_size(LANES)
fn path_log_prob(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    var sum = Pair(vec4<f32>(0.0), vec4<f32>(0.0));
    for (var t = lane; t < items[g].frames; t += LANES) {
        sum = pair_plus(sum, vec4<f32>(log_probs[params.label_base + g * params.frames + t]));
    }
    let total = pair_total(lane, sum);
    if (lane == 0u) {
        let verdict = item_status[g];
        var bits = NAN;
        if (verdict == OK) {
            bits = bitcast<u32>(total);
        } else if (verdict == IMPOSSIBLE) {
            bits = MINUS_INFINITY;
        }
        loss[params.item_base + g] = bits;
        status[params.item_base + g] = verdict;
    }
}
