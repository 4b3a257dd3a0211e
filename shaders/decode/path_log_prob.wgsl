// path_log_prob: sums the log-probabilities along an item's path, and writes the item's status.
// Must match src/decode/align.rs.
//
// in: items, item_status; log_probs [N, T].
// out: loss [N]: the sum, -inf for an impossible item, NaN for an invalid one; status [N].
// grid: one workgroup per item.
// barriers: those of the fold.

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
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    var sum = DoubleFloat(vec4<f32>(0.0), vec4<f32>(0.0));
    for (var t = lane; t < items[g].frames; t += LANES) {
        sum = double_plus(sum, vec4<f32>(log_probs[params.label_base + g * params.frames + t]));
    }
    let log_prob = double_total(lane, sum);
    if (lane == 0u) {
        let status_code = item_status[g];
        var bits = NAN;
        if (status_code == OK) {
            bits = bitcast<u32>(log_prob);
        } else if (status_code == IMPOSSIBLE) {
            bits = MINUS_INFINITY;
        }
        loss[params.item_base + g] = bits;
        status[params.item_base + g] = status_code;
    }
}
