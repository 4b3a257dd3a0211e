// The outward sweep that recomputes the rows of a block and then processes it. In
// outward_overlapped.wgsl, both are done at once.

// Processes the blocks up to step `end` - 1 of the other direction, in descending order.
fn outward_blocks(assignment: Assignment, group: Group, begin: States, end: u32) -> States {
    let other = 1u - assignment.direction;
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    var states = begin;
    var next = load_block(assignment.g, other, last * BLOCK, assignment.item, group);
    var next_row = stored_row(assignment, last * BLOCK, group.index);
    for (var b = last + 1u; b > first; b--) {
        let k = (b - 1u) * BLOCK;
        let y = block_emissions(next);
        let row_a = next_row;
        let next_k = preceding_block(k);
        next = load_block(assignment.g, other, next_k, assignment.item, group);
        next_row = stored_row(assignment, next_k, group.index);
        let rows = block_rows(other, group, row_a, y);
        states = outward_block(assignment, group, k, end, states, rows, y);
    }
    return states;
}
