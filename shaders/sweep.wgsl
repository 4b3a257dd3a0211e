// sweep: computes alpha and beta at the same time, one step per frame. The inward sweep runs from
// both ends of the item to its middle. The outward sweep continues from the middle to the opposite
// ends. It combines its states with the rows that the other direction stored, and overwrites these
// rows with weights: occupancies up to a factor per frame.
//
// For the gradient, the inward sweep stores the first row of each block of four frames. The outward
// sweep recomputes the other rows in registers, bit for bit. It overwrites the stored row with the
// weights of the labels at the four frames of the block, which take the same memory.
//
// formula: alpha[t,s] = y[t,s] · Σ alpha[t-1,s'];  weight[t,s] = (Σ alpha[t-1,s']) · beta[t,s],
// where y is the emission and s' are the predecessors of s (Graves et al. 2006, eq. 6 to 11, 14).
// For beta, s' are the successors of s, at frame t+1.
// in: items, label_table; the input or its gathered entries; row_stats; exponents, for the outward
// sweep.
// in, out: lattice; carry: the checkpoints, and the states between two dispatches.
// grid: one workgroup per item and direction (z); a lane holds one group of PAIRS state pairs.
// barriers: one per computed row of states, in the neighbour exchange, and those of `quad_sums`; none
// if the workgroup is one subgroup.

// The sum over the transitions into each state at the direction's next frame, without the emission.
fn incoming(direction: u32, group: Group, states: States) -> States {
    let edge = exchange_with_neighbour(direction, group.index, edge_state(direction, states, group));
    return transition_sums(direction, states, edge, group);
}

// The states at the direction's next frame. y are the emissions of that frame.
fn advance(direction: u32, group: Group, states: States, y: States) -> States {
    return with_emission(incoming(direction, group, states), y);
}

// Processes the steps from first_step to the end of the dispatch range or to the direction's last
// step, whichever comes first.
fn sweep_inward(assignment: Assignment, group: Group, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let end = min(params.end_step, steps_of(d, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    var next = load_block(assignment.g, d, params.first_step, assignment.item, group);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = block_emissions(next, group);
        next = load_block(assignment.g, d, k + BLOCK, assignment.item, group);
        states = advance(d, group, states, y.a);
        store_row(assignment, k, group.index, states);
        if (k + 1u < end) {
            states = advance(d, group, states, y.b);
        }
        if (k + 2u < end) {
            states = advance(d, group, states, y.c);
        }
        if (k + 3u < end) {
            states = advance(d, group, states, y.d);
        }
        states = States(normalised(states.blank), normalised(states.label));
    }
    return states;
}

// Processes the other direction's steps in the dispatch range, in descending order.
fn sweep_outward(assignment: Assignment, group: Group, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let other = 1u - d;
    let end = min(params.end_step, steps_of(other, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    var next = load_block(assignment.g, other, last * BLOCK, assignment.item, group);
    var next_row = stored_row(assignment, last * BLOCK, group.index);
    for (var b = last + 1u; b > first; b--) {
        let k = (b - 1u) * BLOCK;
        let y = block_emissions(next, group);
        let row_a = next_row;
        let preceding = max(b, 2u) * BLOCK - 2u * BLOCK;
        next = load_block(assignment.g, other, preceding, assignment.item, group);
        next_row = stored_row(assignment, max(preceding, params.first_step), group.index);

        let row_b = advance(other, group, row_a, y.b);
        let row_c = advance(other, group, row_b, y.c);
        let row_d = advance(other, group, row_c, y.d);

        var weights = array<Weights, 4>();
        if (k + 3u < end) {
            let incoming_d = incoming(d, group, states);
            weights[3] = weights_of(incoming_d, row_d, assignment.total_exponent);
            states = with_emission(incoming_d, y.d);
        }
        if (k + 2u < end) {
            let incoming_c = incoming(d, group, states);
            weights[2] = weights_of(incoming_c, row_c, assignment.total_exponent);
            states = with_emission(incoming_c, y.c);
        }
        if (k + 1u < end) {
            let incoming_b = incoming(d, group, states);
            weights[1] = weights_of(incoming_b, row_b, assignment.total_exponent);
            states = with_emission(incoming_b, y.b);
        }
        let incoming_a = incoming(d, group, states);
        weights[0] = weights_of(incoming_a, row_a, assignment.total_exponent);
        states = with_emission(incoming_a, y.a);
        states = States(normalised(states.blank), normalised(states.label));

        let sums = quad_sums(
            group.index,
            BlockSums(
                vec4<f32>(weights[0].blanks, weights[1].blanks, weights[2].blanks, weights[3].blanks),
                vec4<f32>(
                    weights[0].all_labels,
                    weights[1].all_labels,
                    weights[2].all_labels,
                    weights[3].all_labels,
                ),
            ),
        );
        let part = row_groups();
        if (group.index < part) {
            let at = lattice_group(k, other, assignment.g, group.index);
            lattice[at] = words(weights[0].labels);
            lattice[at + part] = words(weights[1].labels);
            lattice[at + 2u * part] = words(weights[2].labels);
            lattice[at + 3u * part] = words(weights[3].labels);
            lattice[at + 4u * part] = words(sums.blanks);
            lattice[at + 5u * part] = words(sums.labels);
        }
    }
    return states;
}

// Processes one direction of an item.
fn sweep_direction(direction: u32, g: u32, item: Item, lane: u32) {
    let assignment = assignment_of(g, direction, item);
    let group = group_of(g, item.labels, lane);
    var states: States;
    if (!OUTWARD && params.first_step == 0u) {
        states = initial_states(direction, item.labels, lane);
    } else {
        states = load_carry(params.carry_row, assignment, lane);
    }
    if (params.checkpoint_row != 0u) {
        store_carry(params.checkpoint_row, assignment, lane, states);
    }
    if (OUTWARD) {
        states = sweep_outward(assignment, group, states);
    } else {
        states = sweep_inward(assignment, group, states);
    }
    store_carry(params.carry_row, assignment, lane, states);
}

@compute @workgroup_size(LANES)
fn sweep(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    if (item.sweeps == 0u) {
        return;
    }
    // Two calls, so that the compiler knows the direction in each.
    if (workgroup.z == 0u) {
        sweep_direction(0u, g, item, lane);
    } else {
        sweep_direction(1u, g, item, lane);
    }
}
