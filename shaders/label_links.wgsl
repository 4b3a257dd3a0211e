// label_links: links each label to the next label of the same class, and each class to its first
// label. `grad` follows the links to sum the occupancies of a class in a fixed order. With
// FIRST_LABELS, also lists the labels that are the first of their class, for a `grad` that visits
// no other classes.
//
// Processes the labels of an item in chunks, from the last chunk to the first. A chunk is sorted by
// class, so that the next label of a class is the neighbour. For the last label of a class in the
// chunk, it is the label that `first_of_class` has from the chunks after this one. The result does
// not depend on the size of a chunk or on LANES.
//
// in: items [G]; label_table [G, label_capacity].
// out: next_label [G, label_capacity]; first_of_class [G, C], then the first labels
// [G, label_capacity].
// grid: items in y and z. With LINK, one workgroup per item; without, x has up to one lane per
// class.
// barriers: per chunk, one before and one after its keys are loaded, one per level of the sort, and
// one between reading and writing first_of_class; one before first_of_class is read to list the
// first labels.

override LANES: u32 = 256u;
// True if the dispatch marks every class as having no label.
override CLEAR: bool = true;
// True if the dispatch writes the links. It must run after the one that clears, or clear itself.
override LINK: bool = true;
override FIRST_LABELS: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> next_label: array<u32>;
@group(0) @binding(4) var<storage, read_write> first_of_class: array<u32>;

// The maximum number of labels of a chunk. Must match CHUNK in src/plan/stages.rs.
const CHUNK: u32 = 512u;

// The keys of a chunk, twice: the sort copies them from one half to the other. A key is a label's
// class and its index.
var<workgroup> sh_keys: array<vec2<u32>, 2u * CHUNK>;

// The first of the sorted keys begin..end whose class is not below `bound`, or `end`; without keys,
// `begin`.
fn lower_bound(begin: u32, end: u32, bound: u32) -> u32 {
    var low = begin;
    var high = end;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (sh_keys[middle].x < bound) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// Sorts the first `count` keys by class, and those of a class by label (merge sort). Returns the
// index of the first sorted key. All lanes must have written their keys.
fn sort_keys(lane: u32, count: u32) -> u32 {
    var source = 0u;
    for (var width = 1u; width < count; width *= 2u) {
        // Merges pairs of sorted runs of `width` keys. A key moves by the number of keys of the
        // other run that precede it. Keys of equal classes in the first run precede those in the
        // second.
        for (var i = lane; i < count; i += LANES) {
            let key = sh_keys[source + i];
            let run = i & ~(width - 1u);
            let other = run ^ width;
            let end = min(other + width, count);
            let bound = key.x + u32(other < run);
            let preceding = lower_bound(source + other, source + end, bound) - source;
            sh_keys[CHUNK - source + i + preceding - max(run, other)] = key;
        }
        workgroupBarrier();
        source = CHUNK - source;
    }
    return source;
}

// True if a word of `first_of_class` has a label after `i`. The words of another batch, if the
// classes were not cleared, must not lead back to earlier labels: `grad` would follow the links
// forever.
fn leads_on(word: u32, i: u32, labels: u32) -> bool {
    let first = word & ~TOP_BIT;
    return first > i && first < labels;
}

// Links the sorted keys begin..end of a chunk.
fn link_keys(g: u32, lane: u32, begin: u32, end: u32, labels: u32) {
    for (var at = begin + lane; at < end; at += LANES) {
        let key = sh_keys[at];
        let later = first_of_class[g * params.classes + key.x];
        let has_later = leads_on(later, key.y, labels);
        var link = select(labels, later, has_later);
        if (at + 1u < end && sh_keys[at + 1u].x == key.x) {
            let has_third = at + 2u < end && sh_keys[at + 2u].x == key.x;
            link = sh_keys[at + 1u].y | select(0u, TOP_BIT, has_third || has_later);
        }
        next_label[g * params.label_capacity + key.y] = link;
    }
}

// Writes the first label of each class in the sorted keys begin..end of a chunk. The lanes read the
// links that they wrote themselves.
fn set_first_labels(g: u32, lane: u32, begin: u32, end: u32, labels: u32) {
    for (var at = begin + lane; at < end; at += LANES) {
        let key = sh_keys[at];
        if (at == begin || sh_keys[at - 1u].x != key.x) {
            let next = next_label[g * params.label_capacity + key.y] & ~TOP_BIT;
            first_of_class[g * params.classes + key.x] = key.y | select(0u, TOP_BIT, next < labels);
        }
    }
}

// The word of label i in the first labels (see `first_label_of_item`).
fn first_label(g: u32, i: u32) -> u32 {
    let class_index = label_table[g * params.label_capacity + i] & ~TOP_BIT;
    let first = first_of_class[g * params.classes + class_index];
    let is_first = (first & ~TOP_BIT) == i && class_index != params.blank;
    return select(NO_LABEL, class_index | (first & TOP_BIT), is_first);
}

@compute @workgroup_size(LANES)
fn label_links(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let g = workgroup.z * grid.y + workgroup.y;
    if (g >= params.tile_items) {
        return;
    }
    if (CLEAR) {
        for (var c = workgroup.x * LANES + lane; c < params.classes; c += grid.x * LANES) {
            first_of_class[g * params.classes + c] = NO_LABEL;
        }
    }
    if (LINK) {
        let labels = items[g].labels;
        for (var chunk = (labels + CHUNK - 1u) / CHUNK; chunk > 0u; chunk--) {
            let first = (chunk - 1u) * CHUNK;
            let count = min(labels - first, CHUNK);
            storageBarrier();
            workgroupBarrier();
            for (var i = lane; i < count; i += LANES) {
                let class_index = label_table[g * params.label_capacity + first + i] & ~TOP_BIT;
                sh_keys[i] = vec2<u32>(class_index, first + i);
            }
            workgroupBarrier();
            let sorted = sort_keys(lane, count);
            link_keys(g, lane, sorted, sorted + count, labels);
            storageBarrier();
            set_first_labels(g, lane, sorted, sorted + count, labels);
        }
        if (FIRST_LABELS) {
            storageBarrier();
            workgroupBarrier();
            for (var i = lane; i < labels; i += LANES) {
                first_of_class[first_label_of_item(g) + i] = first_label(g, i);
            }
        }
    }
}
