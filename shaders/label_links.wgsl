// label_links: for each label the next equal one, and for each class its first label, so that the occupancies of a class that
// occurs several times are summed in one fixed order.
//
// in items [G].  in, out label_table [G, width].  out first_of_class [G, C].
// grid CLEAR and LINK together: a workgroup an item (y and z). Apart: a lane a class, then a lane a label (x).
// barriers: a head is written after it was cleared.

override LANES: u32 = 64u;
override CLEAR: bool = true;
override LINK: bool = true;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read_write> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> first_of_class: array<u32>;

fn class_of(g: u32, i: u32) -> u32 {
    return label_table[g * params.label_capacity + i].x & ~FLAG;
}

// The next label of a class from i on, or the end.
fn find(g: u32, own: u32, from_: u32, labels: u32) -> u32 {
    var i = from_;
    while (i < labels && class_of(g, i) != own) {
        i++;
    }
    return i;
}

fn link(g: u32, i: u32, labels: u32) {
    let own = class_of(g, i);
    let next = find(g, own, i + 1u, labels);
    let after = find(g, own, min(next + 1u, labels), labels);
    var before = i;
    while (before > 0u && class_of(g, before - 1u) != own) {
        before--;
    }
    label_table[g * params.label_capacity + i].y = next | select(0u, FLAG, after < labels);
    if (before == 0u) {
        first_of_class[g * params.classes + own] = i | select(0u, FLAG, next < labels);
    }
}

@compute @workgroup_size(LANES)
fn label_links(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    // Not of `id`, whose y and z are the same: browsers let a barrier follow only what is plainly uniform.
    let g = group.z * grid.y + group.y;
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
            link(g, i, labels);
        }
    }
}
