// The outward sweep that recomputes the rows of a block and then processes it. In
// outward_overlapped.wgsl, both are done at once. The next block is loaded after the second frame,
// so that its entries are not in registers together with all rows and emissions.

// Processes the blocks up to step `end` - 1 of the other direction, in descending order.
fn outward_blocks(assignment: Assignment, group: Group, begin: States, end: u32) -> States {
    let other = 1u - assignment.direction;
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    // Only the last block may have less than four steps.
    var k = last * BLOCK;
    var y = block_emissions(load_block(assignment.g, other, k, assignment.item, group));
    var row = other_row(assignment, k, group);
    var rows = block_rows(other, group, row, y);
    set_reference(assignment, group, begin, rows, end);
    var states = last_block(assignment, group, k, end, begin, rows, y);
    k = preceding_block(k);
    var next = load_block(assignment.g, other, k, assignment.item, group);
    row = other_row(assignment, k, group);
    for (var b = last; b > first; b--) {
        y = block_emissions(next);
        rows = block_rows(other, group, row, y);
        var weights = BlockWeights();
        weights.d = outward_frame(assignment, group, &states, rows.d, y.d);
        weights.c = outward_frame(assignment, group, &states, rows.c, y.c);
        k = preceding_block(k);
        next = load_block(assignment.g, other, k, assignment.item, group);
        row = stored_row(assignment, k, group.index);
        weights.b = outward_frame(assignment, group, &states, rows.b, y.b);
        weights.a = outward_frame(assignment, group, &states, rows.a, y.a);
        store_weights(assignment, (b - 1u) * BLOCK, group, weights);
        let both = owned_both(group.index, BothStates(normalised_states(states), row));
        states = both.own;
        row = both.other;
    }
    return states;
}
