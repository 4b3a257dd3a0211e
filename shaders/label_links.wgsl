// label_links: links each label to the next label of the same class, and each class to its first
// label. `grad` follows the links to sum the occupancies of a class in a fixed order.
//
// in: items [G].
// in, out: label_table [G, label_capacity].
// out: first_of_class [G, C].
// grid: items in y and z. With CLEAR and LINK, one workgroup per item; with only one of them, x has
// up to one lane per class (CLEAR), or one per label (LINK).
// barriers: one, between clearing and writing first_of_class.

override LANES: u32 = 64u;
// True if the dispatch marks every class as having no label.
override CLEAR: bool = true;
// True if the dispatch writes the links. It must run after the one that clears, or clear itself.
override LINK: bool = true;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read_write> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> first_of_class: array<u32>;

fn class_of(g: u32, i: u32) -> u32 {
    return label_table[g * params.label_capacity + i].x & ~TOP_BIT;
}

// The index of the first label of a class from label `first` on, or `labels` if there is none.
fn next_of_class(g: u32, class_index: u32, first: u32, labels: u32) -> u32 {
    var i = first;
    while (i < labels && class_of(g, i) != class_index) {
        i++;
    }
    return i;
}

// Writes the link of label i, and that of its class if no earlier label has the same class.
fn link_label(g: u32, i: u32, labels: u32) {
    let class_index = class_of(g, i);
    let next = next_of_class(g, class_index, i + 1u, labels);
    let after = next_of_class(g, class_index, min(next + 1u, labels), labels);
    var before = i;
    while (before > 0u && class_of(g, before - 1u) != class_index) {
        before--;
    }
    label_table[g * params.label_capacity + i].y = next | select(0u, TOP_BIT, after < labels);
    if (before == 0u) {
        first_of_class[g * params.classes + class_index] = i | select(0u, TOP_BIT, next < labels);
    }
}

@compute @workgroup_size(LANES)
fn label_links(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    // Not computed from `id`, whose y and z are the same: browsers accept a barrier only where
    // control flow is provably uniform, and `workgroup_id` is uniform.
    let g = workgroup.z * grid.y + workgroup.y;
    if (g >= params.tile_items) {
        return;
    }
    let stride = grid.x * LANES;
    if (CLEAR) {
        for (var c = id.x; c < params.classes; c += stride) {
            first_of_class[g * params.classes + c] = NO_LABEL;
        }
    }
    if (CLEAR && LINK) {
        storageBarrier();
        workgroupBarrier();
    }
    if (LINK) {
        let labels = items[g].labels;
        for (var i = id.x; i < labels; i += stride) {
            link_label(g, i, labels);
        }
    }
}
