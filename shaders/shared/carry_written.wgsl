// The carry, with the functions that store what the next dispatch of a sweep loads.
@group(0) @binding(7) var<storage, read_write> carry: array<Words>;

fn store_carry(row: u32, assignment: Assignment, group: u32, states: States) {
    let part = row_groups();
    if (!stores_group(group)) {
        return;
    }
    let at = carry_part(row, assignment.direction, assignment.g, 0u) * GROUPS_PER_QUAD + group;
    carry[at] = words(states.blank.m);
    carry[at + part] = bitcast<Words>(states.blank.e);
    carry[at + 2u * part] = words(states.label.m);
    carry[at + 3u * part] = bitcast<Words>(states.label.e);
}

fn store_reference(assignment: Assignment) {
    carry[reference_index(assignment)] = bitcast<Words>(Ints(reference));
}
