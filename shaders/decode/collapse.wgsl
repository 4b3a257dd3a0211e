// collapse: turns the most probable class of each frame into labels (greedy decoding): repeated
// classes become one label, and blanks are dropped. Must match src/decode/greedy.rs.
//
// in: items, item_status; row_stats: the most probable class of each frame, and -ln of its
// probability.
// out: hypothesis_labels [N, T]: -1 past the last label; hypothesis_frames [N, T, 2]: the first
// frame of each label and the frame after its last one, 0 past the last label;
// hypothesis_lengths [N]; loss [N]: ln of the probability of the path, or NaN if the status is not
// OK; status [N].
// grid: one workgroup per item.
// barriers: one per LANES frames, one before, and those of the fold.

// RepeatedOutputs::Distinct in src/options.rs: every frame that is not blank is a label of its own.
override DISTINCT: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> item_status: array<u32>;
@group(0) @binding(3) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> hypothesis_labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> hypothesis_lengths: array<u32>;
@group(0) @binding(6) var<storage, read_write> hypothesis_frames: array<u32>;
@group(0) @binding(7) var<storage, read_write> loss: array<u32>;
@group(0) @binding(8) var<storage, read_write> status: array<u32>;

// -1 as a signed integer.
const NONE: u32 = 0xffffffffu;

// The frames in which a label begins, among the LANES frames that are processed together: one bit
// per frame, so LANES is at most 32. The words take turns. While one is in use, the next one is set
// to 0. No lane reads that one any more, because a barrier has followed its last use.
const TURNS: u32 = 3u;
var<workgroup> sh_begins: array<atomic<u32>, TURNS>;

fn class_at(g: u32, t: u32) -> u32 {
    return u32(row_stats[t * params.tile_items + g].x);
}

@compute @workgroup_size(LANES)
fn collapse(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let status_code = item_status[g];
    var frames = items[g].frames;
    if (status_code != OK) {
        frames = 0u;
    }
    let out = params.label_base + g * params.frames;
    let out_frames = params.second_base + 2u * g * params.frames;
    var sum = DoubleFloat(vec4<f32>(0.0), vec4<f32>(0.0));
    var length = 0u;
    var turn = 0u;
    if (lane == 0u) {
        atomicStore(&sh_begins[turn], 0u);
    }
    workgroupBarrier();
    for (var first = 0u; first < frames; first += LANES) {
        let t = first + lane;
        // No branch between the loads, so that they overlap.
        let at = min(t, frames - 1u);
        let stats = row_stats[at * params.tile_items + g];
        let class_before = class_at(g, max(at, 1u) - 1u);
        let class_after = class_at(g, min(at + 1u, frames - 1u));
        let class_index = u32(stats.x);
        let is_label = t < frames && class_index != params.blank;
        let begins = is_label && (DISTINCT || t == 0u || class_before != class_index);
        let ends = is_label && (DISTINCT || t + 1u == frames || class_after != class_index);
        sum = double_plus(sum, vec4<f32>(select(0.0, -stats.y, t < frames)));
        if (begins) {
            atomicOr(&sh_begins[turn], 1u << lane);
        }
        let next_turn = (turn + 1u) % TURNS;
        if (lane == 0u) {
            atomicStore(&sh_begins[next_turn], 0u);
        }
        workgroupBarrier();
        let all_begins = atomicLoad(&sh_begins[turn]);
        turn = next_turn;
        let starts = length + countOneBits(all_begins & ((2u << lane) - 1u));
        length += countOneBits(all_begins);
        if (begins) {
            hypothesis_labels[out + starts - 1u] = class_index;
            hypothesis_frames[out_frames + 2u * starts - 2u] = t;
        }
        if (ends) {
            hypothesis_frames[out_frames + 2u * starts - 1u] = t + 1u;
        }
    }
    for (var i = length + lane; i < params.frames; i += LANES) {
        hypothesis_labels[out + i] = NONE;
        hypothesis_frames[out_frames + 2u * i] = 0u;
        hypothesis_frames[out_frames + 2u * i + 1u] = 0u;
    }
    let log_prob = double_total(lane, sum);
    if (lane == 0u) {
        var bits = NAN;
        if (status_code == OK) {
            bits = bitcast<u32>(log_prob);
        }
        hypothesis_lengths[params.item_base + g] = length;
        loss[params.item_base + g] = bits;
        status[params.item_base + g] = status_code;
    }
}
