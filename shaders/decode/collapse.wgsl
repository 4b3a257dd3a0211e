// collapse: the labels that the likeliest class of each frame makes: equal neighbours are one, blanks are left out.
// Twin: src/decode/greedy.rs.
//
// in row_stats: of each frame the likeliest class, and -ln of its probability.
// out hypothesis_labels [N, T]: -1 past the last; hypothesis_frames [N, T]: the first frame of each and the one after its last, 0 past the last;
// hypothesis_lengths, loss, status [N].
// grid one workgroup an item.  barriers: the running count; those of the fold.

// RepeatedOutputs in src/options.rs.
override DISTINCT: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> item_status: array<u32>;
@group(0) @binding(3) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> hypothesis_labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> hypothesis_lengths: array<u32>;
@group(0) @binding(6) var<storage, read_write> hypothesis_frames: array<u32>;
@group(0) @binding(7) var<storage, read_write> loss: array<u32>;
@group(0) @binding(8) var<storage, read_write> status: array<u32>;

const NONE: u32 = 0xffffffffu;

var<workgroup> sh_begun: array<u32, LANES>;

fn class_at(g: u32, t: u32) -> u32 {
    return u32(row_stats[t * params.tile_items + g].x);
}

@compute @workgroup_size(LANES)
fn collapse(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let verdict = item_status[g];
    var frames = items[g].frames;
    if (verdict != OK) {
        frames = 0u;
    }
    let out = params.label_base + g * params.frames;
    let out_frames = params.second_base + 2u * g * params.frames;
    var sum = Pair(vec4<f32>(0.0), vec4<f32>(0.0));
    var length = 0u;
    for (var first = 0u; first < frames; first += LANES) {
        let t = first + lane;
        var begins = false;
        var ends = false;
        var class_ = params.blank;
        if (t < frames) {
            class_ = class_at(g, t);
            sum = pair_plus(sum, vec4<f32>(-row_stats[t * params.tile_items + g].y));
            let is_label = class_ != params.blank;
            begins = is_label && (DISTINCT || t == 0u || class_at(g, max(t, 1u) - 1u) != class_);
            ends = is_label && (DISTINCT || t + 1u == frames || class_at(g, min(t + 1u, frames - 1u)) != class_);
        }
        sh_begun[lane] = u32(begins);
        workgroupBarrier();
        for (var d = 1u; d < LANES; d *= 2u) {
            var more = 0u;
            if (lane >= d) {
                more = sh_begun[lane - d];
            }
            workgroupBarrier();
            sh_begun[lane] += more;
            workgroupBarrier();
        }
        let begun = length + sh_begun[lane];
        length += sh_begun[LANES - 1u];
        if (begins) {
            hypothesis_labels[out + begun - 1u] = class_;
            hypothesis_frames[out_frames + 2u * begun - 2u] = t;
        }
        if (ends) {
            hypothesis_frames[out_frames + 2u * begun - 1u] = t + 1u;
        }
        workgroupBarrier();
    }
    for (var i = length + lane; i < params.frames; i += LANES) {
        hypothesis_labels[out + i] = NONE;
        hypothesis_frames[out_frames + 2u * i] = 0u;
        hypothesis_frames[out_frames + 2u * i + 1u] = 0u;
    }
    let log_prob = pair_total(lane, sum);
    if (lane == 0u) {
        var bits = NAN;
        if (verdict == OK) {
            bits = bitcast<u32>(log_prob);
        }
        hypothesis_lengths[params.item_base + g] = length;
        loss[params.item_base + g] = bits;
        status[params.item_base + g] = verdict;
    }
}
