// check_labels: what each item is. Its lengths and labels are checked here, once: later stages work on what this one wrote,
// so that nothing on the device can lead them out of a table.
//
// in caller_labels [N, Lmax] or [ΣL], logit_lengths, label_lengths, weights [N].
// out items, item_status [G]; label_table [G, width]: class and whether the label before leads to it.
// grid one workgroup an item.  barriers: the header is read by all; the running count of a collapse.

override LANES: u32 = 64u;
override CONCATENATED: bool = false;
override ALLOW_BLANK: bool = false;
override COLLAPSE: bool = false;
override DISTINCT: bool = false;
// Whether -1 is a label that stands for any class: one more than there are.
override STARS: bool = false;
// Whether labels are looked at: a greedy reading has none.
override LABELLED: bool = true;
// Reduction in src/options.rs.
override REDUCTION: u32 = 0u;

@group(0) @binding(1) var<storage, read> caller_labels: array<i32>;
@group(0) @binding(2) var<storage, read> logit_lengths: array<i32>;
@group(0) @binding(3) var<storage, read> label_lengths: array<i32>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> totals: array<u32>;
@group(0) @binding(6) var<storage, read_write> items: array<Item>;
@group(0) @binding(7) var<storage, read_write> item_status: array<u32>;
@group(0) @binding(8) var<storage, read_write> label_table: array<vec2<u32>>;

const STARTS: u32 = 4u;

struct Header {
    frames: u32,
    length: u32,
    start: u32,
    verdict: u32,
}

var<workgroup> sh_header: Header;
var<workgroup> sh_bad: atomic<u32>;
var<workgroup> sh_kept: array<u32, LANES>;

fn header(g: u32) -> Header {
    let n = params.item_base + g;
    let frames = logit_lengths[n];
    let length = select(0, label_lengths[n], LABELLED);
    var start = params.label_base + g * params.label_stride;
    var room = params.label_stride;
    if (CONCATENATED) {
        start = totals[STARTS + params.first_item + g];
        room = min(params.label_stride, max(arrayLength(&caller_labels), start) - start);
    }
    if (frames < 0 || u32(frames) > params.frames || length < 0 || u32(length) > room) {
        return Header(0u, 0u, 0u, BAD_LENGTH);
    }
    return Header(u32(frames), u32(length), start, OK);
}

// Weights whose sum is this small a part of their sizes have no mean: the losses' own rounding would decide it.
const CANCELS: f32 = 1.0e-3;

// The factor of the loss in the reduced number: of the gradient too.
fn scale_of(weight: f32, length: u32) -> f32 {
    if (REDUCTION == 2u) {
        return weight / f32(params.items);
    }
    if (REDUCTION == 3u) {
        return weight / (f32(params.items) * f32(max(length, 1u)));
    }
    if (REDUCTION == 4u) {
        return weight / f32(max(totals[0], 1u));
    }
    if (REDUCTION == 5u) {
        let sum = bitcast<f32>(totals[1]) + bitcast<f32>(totals[2]);
        let cancels = abs(sum) <= CANCELS * bitcast<f32>(totals[3]);
        return select(weight / select(sum, 1.0, cancels), 0.0, cancels);
    }
    return weight;
}

@compute @workgroup_size(LANES)
fn check_labels(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    if (lane == 0u) {
        sh_header = header(g);
        atomicStore(&sh_bad, 0u);
    }
    let head = workgroupUniformLoad(&sh_header);
    var kept = 0u;
    for (var first = 0u; first < head.length; first += LANES) {
        let i = first + lane;
        var class_ = 0u;
        var keep = i < head.length;
        var fresh = true;
        if (keep) {
            let label = caller_labels[head.start + i];
            let star = STARS && label == -1;
            if (!star && (label < 0 || u32(label) >= params.classes || (u32(label) == params.blank && !ALLOW_BLANK))) {
                atomicStore(&sh_bad, 1u);
            }
            class_ = select(min(u32(max(label, 0)), params.classes - 1u), params.classes, star);
            if (i > 0u) {
                fresh = caller_labels[head.start + i - 1u] != label;
            }
        }
        var place = i;
        if (COLLAPSE) {
            keep = keep && fresh;
            sh_kept[lane] = u32(keep);
            workgroupBarrier();
            for (var d = 1u; d < LANES; d *= 2u) {
                var more = 0u;
                if (lane >= d) {
                    more = sh_kept[lane - d];
                }
                workgroupBarrier();
                sh_kept[lane] += more;
                workgroupBarrier();
            }
            place = kept + sh_kept[lane] - 1u;
            kept += sh_kept[LANES - 1u];
            workgroupBarrier();
        }
        if (keep && place < params.label_capacity) {
            let reached = fresh || DISTINCT;
            label_table[g * params.label_capacity + place] = vec2<u32>(class_ | select(0u, FLAG, reached), 0u);
        }
    }
    if (!COLLAPSE) {
        kept = head.length;
    }
    workgroupBarrier();
    if (lane == 0u) {
        var verdict = head.verdict;
        var weight_bits = weights[params.item_base + g];
        if (kept > head.frames) {
            verdict = max(verdict, IMPOSSIBLE);
        }
        if (!is_finite(weight_bits)) {
            verdict = max(verdict, NOT_FINITE);
            weight_bits = bitcast<u32>(1.0);
        }
        if (atomicLoad(&sh_bad) != 0u) {
            verdict = max(verdict, BAD_LABEL);
        }
        let scale = scale_of(bitcast<f32>(weight_bits), head.length);
        if (verdict >= BAD_LABEL) {
            items[g] = Item(0u, 0u, scale, 0u);
        } else if (verdict == OK) {
            items[g] = Item(head.frames, kept, scale, 1u);
        } else {
            items[g] = Item(head.frames, 0u, scale, 0u);
        }
        item_status[g] = verdict;
    }
}
