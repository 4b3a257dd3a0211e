// The outward sweep that recomputes the rows of a block and then processes it. In
// outward_overlapped.wgsl, both are done at once.

// Processes the blocks up to step `end` - 1 of the other direction, in descending order.
fn outward_blocks(assignment: Assignment, group: Group, begin: States, end: u32) -> States {
    let other = 1u - assignment.direction;
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    var k = last * BLOCK;
    var y = block_emissions(load_block(assignment.g, other, k, assignment.item, group));
    var rows = block_rows(other, group, stored_row(assignment, k, group.index), y);
    set_reference(assignment, group, begin, rows, end);
    var states = outward_block(assignment, group, k, end, begin, rows, y);
    var next = load_block(assignment.g, other, preceding_block(k), assignment.item, group);
    var next_row = stored_row(assignment, preceding_block(k), group.index);
    for (var b = last; b > first; b--) {
        k = (b - 1u) * BLOCK;
        y = block_emissions(next);
        let row_a = next_row;
        next = load_block(assignment.g, other, preceding_block(k), assignment.item, group);
        next_row = stored_row(assignment, preceding_block(k), group.index);
        rows = block_rows(other, group, row_a, y);
        states = outward_block(assignment, group, k, end, states, rows, y);
    }
    return states;
}
