// chain: for each label the next equal one, and whether it is the first, so that the occupancies of a class that
// occurs several times are summed in one fixed order.
//
// in items [G].  in, out label_table [G, width].
// grid one lane a label, x over labels, y and z over items.

override LANES: u32 = 64u;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read_write> label_table: array<vec2<u32>>;

fn class_of(g: u32, i: u32) -> u32 {
    return label_table[g * params.width + i].x & ~FLAG;
}

@compute @workgroup_size(LANES)
fn chain(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let g = id.z * grid.y + id.y;
    let i = id.x;
    if (g >= params.group) {
        return;
    }
    let length = items[g].labels;
    if (i >= length) {
        return;
    }
    let own = class_of(g, i);
    var next = i + 1u;
    while (next < length && class_of(g, next) != own) {
        next++;
    }
    var before = i;
    while (before > 0u && class_of(g, before - 1u) != own) {
        before--;
    }
    let link = select(NO_LABEL, next, next < length);
    label_table[g * params.width + i].y = link | select(0u, FLAG, before == 0u);
}
