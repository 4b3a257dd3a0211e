// spans: computes the frames of each label on the path and the mean probability over them. Must
// match src/decode/align.rs.
//
// in: items, item_status, states; log_probs [N, T].
// out: label_spans [N, Lmax, 2]: the first frame, and the frame after the last one;
// probabilities [N, Lmax]: the mean over these frames, 1 for a star. Both are 0 past an item's
// labels and for items without a path.
// grid: LANES lanes per label, ROWS labels per workgroup.
// barriers: those of the fold.

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> item_status: array<u32>;
@group(0) @binding(3) var<storage, read> states: array<u32>;
@group(0) @binding(4) var<storage, read> log_probs: array<f32>;
@group(0) @binding(5) var<storage, read_write> label_spans: array<u32>;
@group(0) @binding(6) var<storage, read_write> probabilities: array<f32>;

// The first frame whose state is at least `state`, or `frames` if no frame has one. A binary search
// is possible because states never decrease along a path.
fn first_frame_at(g: u32, frames: u32, state: u32) -> u32 {
    var low = 0u;
    var high = frames;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (states[g * params.frames + middle] < state) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(LANES, ROWS)
fn spans(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let index = workgroup_index(workgroup, grid) * ROWS + local.y;
    let stride = max(params.label_stride, 1u);
    let g = index / stride;
    let i = index - g * stride;
    let inside = g < params.tile_items && params.label_stride > 0u;
    var span = vec2<u32>(0u);
    if (inside && item_status[g] == OK && i < items[g].labels) {
        span = vec2<u32>(
            first_frame_at(g, items[g].frames, 2u * i + 1u),
            first_frame_at(g, items[g].frames, 2u * i + 2u),
        );
    }
    var sum = 0.0;
    for (var t = span.x + local.x; t < span.y; t += LANES) {
        let log_prob = log_probs[params.label_base + g * params.frames + t];
        sum += exp_plain(vec4<u32>(bitcast<u32>(log_prob))).x;
    }
    let all = fold_sums(local.x, local.y, vec2<f32>(sum, 0.0)).x;
    if (inside && local.x == 0u) {
        label_spans[params.item_base + 2u * index] = span.x;
        label_spans[params.item_base + 2u * index + 1u] = span.y;
        probabilities[params.second_base + index] = all / f32(max(span.y - span.x, 1u));
    }
}
