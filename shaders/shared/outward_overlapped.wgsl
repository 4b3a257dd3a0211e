// The outward sweep that recomputes the rows of the next block while it processes the current one.
// The two recursions do not depend on each other, so their latencies overlap, and they share the
// exchanges with the neighbouring lanes. With more than one pair per lane, this would take too many
// registers, and so would computing the emissions.
//
// The order of the steps keeps few values at the same time: Intel's compiler allocates registers in
// this order. Each frame's weights follow its sums, and the next block is loaded, and its emissions
// are read, only after the first frame.

// The sums over the transitions in the sweep's own direction and in the other one.
struct BothIncoming {
    own: States,
    other: States,
}

fn incoming_both(direction: u32, group: Group, own: States, other: States) -> BothIncoming {
    let edges = exchange_both(
        direction,
        lane_of_group(group.index),
        edge_state(direction, own, group),
        edge_state(1u - direction, other, group),
    );
    return BothIncoming(
        transition_sums(direction, own, edges.own, group),
        transition_sums(1u - direction, other, edges.other, group),
    );
}

// Processes the blocks up to step `end` - 1 of the other direction, in descending order.
fn outward_blocks(assignment: Assignment, group: Group, begin: States, end: u32) -> States {
    let d = assignment.direction;
    let other = 1u - d;
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    // Only the last block may have less than four steps. It is processed alone.
    var next_k = last * BLOCK;
    var y = block_emissions(load_block(assignment.g, other, next_k, assignment.item, group));
    var row = other_row(assignment, next_k, group);
    var rows = block_rows(other, group, row, y);
    set_reference(assignment, group, begin, rows, end);
    var states = last_block(assignment, group, next_k, end, begin, rows, y);
    if (last == first) {
        return states;
    }
    next_k = preceding_block(next_k);
    y = block_emissions(load_block(assignment.g, other, next_k, assignment.item, group));
    row = other_row(assignment, next_k, group);
    rows = block_rows(other, group, row, y);
    next_k = preceding_block(next_k);
    var next = load_block(assignment.g, other, next_k, assignment.item, group);
    row = other_row(assignment, next_k, group);
    for (var b = last; b > first; b--) {
        let row_a = row;
        var weights = BlockWeights();
        let at_d = incoming_both(d, group, states, row_a);
        weights.d = weights_of(at_d.own, rows.d);
        states = with_emission(at_d.own, y.d);
        let next_y = block_emissions(next);
        let row_b = with_emission(at_d.other, next_y.b);
        next_k = preceding_block(next_k);
        next = load_block(assignment.g, other, next_k, assignment.item, group);
        row = stored_row(assignment, next_k, group.index);
        let at_c = incoming_both(d, group, states, row_b);
        let row_c = with_emission(at_c.other, next_y.c);
        weights.c = weights_of(at_c.own, rows.c);
        states = with_emission(at_c.own, y.c);
        let at_b = incoming_both(d, group, states, row_c);
        let row_d = with_emission(at_b.other, next_y.d);
        weights.b = weights_of(at_b.own, rows.b);
        states = with_emission(at_b.own, y.b);
        let at_a = incoming(d, group, states);
        weights.a = weights_of(at_a, rows.a);
        states = with_emission(at_a, y.a);
        let both = owned_both(group.index, BothStates(normalised_states(states), row));
        states = both.own;
        row = both.other;
        store_weights(assignment, (b - 1u) * BLOCK, group, weights);
        rows = BlockStates(row_a, row_b, row_c, row_d);
        y = next_y;
    }
    return states;
}
