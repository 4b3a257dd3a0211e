// check_labels: checks the lengths, labels and weight of each item, and writes the labels to the
// label table. Later kernels read labels and lengths only from what this kernel wrote, so no input
// on the device can make them index out of bounds.
//
// in: labels [N, Lmax] or [ΣL]; logit_lengths, label_lengths, weights [N]; totals, if they are
// needed.
// out: items, item_status [G]; label_table [G, label_capacity]: the class of each label, and
// whether the skip from the label before it is allowed.
// grid: one workgroup per item.
// barriers: one after lane 0 has written the header, those of the prefix sum (COLLAPSE), and one
// before lane 0 writes the item.

override LANES: u32 = 64u;
// True if labels are concatenated, [ΣL], and not padded.
override CONCATENATED: bool = false;
// BlankInLabels::Allow in src/options.rs: a label may be the blank.
override ALLOW_BLANK: bool = false;
// RepeatedLabels::Collapse: consecutive equal labels count as one.
override COLLAPSE: bool = false;
// RepeatedOutputs::Distinct: the skip is allowed between equal labels too.
override DISTINCT: bool = false;
// Allows the label -1, a star, which matches any class. Must match STAR in src/decode/align.rs. Its
// class is `params.classes`.
override ALLOW_STAR: bool = false;
// False for greedy decoding, which has no labels.
override HAS_LABELS: bool = true;
// The reduction, as numbered in src/plan/stages.rs: 1 for none or a sum, 2 MeanBatch, 3 MeanLabel,
// 4 MeanVolume, 5 MeanWeighted.
override REDUCTION: u32 = 0u;

@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read> logit_lengths: array<i32>;
@group(0) @binding(3) var<storage, read> label_lengths: array<i32>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> totals: array<u32>;
@group(0) @binding(6) var<storage, read_write> items: array<Item>;
@group(0) @binding(7) var<storage, read_write> item_status: array<u32>;
@group(0) @binding(8) var<storage, read_write> label_table: array<u32>;

// The index in `totals` of the first label start. Must match TOTALS_WORDS in src/plan/tiling.rs.
const STARTS: u32 = 4u;

// An item's lengths, the start of its labels in `labels`, and its status so far.
struct Header {
    frames: u32,
    length: u32,
    start: u32,
    status_code: u32,
}

var<workgroup> sh_header: Header;
var<workgroup> sh_bad_label: atomic<u32>;
var<workgroup> sh_counts: array<u32, LANES>;

// Checks the lengths of item g of the tile. Its labels begin at `start`, and it may have at most
// `room` of them.
fn checked_header(g: u32) -> Header {
    let n = params.item_base + g;
    let frames = logit_lengths[n];
    let length = select(0, label_lengths[n], HAS_LABELS);
    var start = params.label_base + g * params.label_stride;
    var room = params.label_stride;
    if (CONCATENATED) {
        start = totals[STARTS + params.first_item + g];
        room = min(params.label_stride, max(arrayLength(&labels), start) - start);
    }
    if (frames < 0 || u32(frames) > params.frames || length < 0 || u32(length) > room) {
        return Header(0u, 0u, 0u, BAD_LENGTH);
    }
    return Header(u32(frames), u32(length), start, OK);
}

// If |Σw| is at most this fraction of Σ|w|, rounding of the losses would determine the weighted
// mean. The scale is then 0. Must match MIN_RELATIVE_SUM in src/cpu/batch_totals.rs.
const CANCELLATION: f32 = 1.0e-3;

// The factor of the item's loss in the reduced loss, and of its gradient. Must match `scale_of` in
// src/cpu/batch_totals.rs.
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
        let cancels = abs(sum) <= CANCELLATION * bitcast<f32>(totals[3]);
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
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    if (lane == 0u) {
        sh_header = checked_header(g);
        atomicStore(&sh_bad_label, 0u);
    }
    let header = workgroupUniformLoad(&sh_header);
    var label_count = 0u;
    for (var first = 0u; first < header.length; first += LANES) {
        let i = first + lane;
        var class_index = 0u;
        var is_stored = i < header.length;
        var differs = true;
        if (is_stored) {
            let label = labels[header.start + i];
            let is_star = ALLOW_STAR && label == -1;
            if (
                !is_star
                && (label < 0
                    || u32(label) >= params.classes
                    || (u32(label) == params.blank && !ALLOW_BLANK))
            ) {
                atomicStore(&sh_bad_label, 1u);
            }
            // An invalid label is clamped, so that `class_index` is always in range.
            class_index = select(min(u32(max(label, 0)), params.classes - 1u), params.classes, is_star);
            if (i > 0u) {
                differs = labels[header.start + i - 1u] != label;
            }
        }
        var position = i;
        if (COLLAPSE) {
            is_stored = is_stored && differs;
            sh_counts[lane] = u32(is_stored);
            workgroupBarrier();
            for (var d = 1u; d < LANES; d *= 2u) {
                var addend = 0u;
                if (lane >= d) {
                    addend = sh_counts[lane - d];
                }
                workgroupBarrier();
                sh_counts[lane] += addend;
                workgroupBarrier();
            }
            position = label_count + sh_counts[lane] - 1u;
            label_count += sh_counts[LANES - 1u];
            workgroupBarrier();
        }
        if (is_stored && position < params.label_capacity) {
            let skip_allowed = differs || DISTINCT;
            label_table[g * params.label_capacity + position] = class_index
                | select(0u, TOP_BIT, skip_allowed);
        }
    }
    if (!COLLAPSE) {
        label_count = header.length;
    }
    workgroupBarrier();
    if (lane == 0u) {
        // If several statuses apply, the item gets the one with the largest code.
        var status_code = header.status_code;
        var weight_bits = weights[params.item_base + g];
        if (label_count > header.frames) {
            status_code = max(status_code, IMPOSSIBLE);
        }
        if (!is_finite(weight_bits)) {
            status_code = max(status_code, NOT_FINITE);
            weight_bits = bitcast<u32>(1.0);
        }
        if (atomicLoad(&sh_bad_label) != 0u) {
            status_code = max(status_code, BAD_LABEL);
        }
        let scale = scale_of(bitcast<f32>(weight_bits), header.length);
        if (status_code >= BAD_LABEL) {
            items[g] = Item(0u, 0u, scale, 0u);
        } else if (status_code == OK) {
            items[g] = Item(header.frames, label_count, scale, 1u);
        } else {
            items[g] = Item(header.frames, 0u, scale, 0u);
        }
        item_status[g] = status_code;
    }
}
