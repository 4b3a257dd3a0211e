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
// grid: one workgroup per item and direction (z); a lane holds one quad.
// barriers: one per computed row of states, in the neighbour exchange; none if the workgroup is one
// subgroup.

// The sum over the transitions into each state at the direction's next frame, without the emission.
fn incoming(direction: u32, quad: Quad, states: States) -> States {
    let edge = exchange_with_neighbour(direction, quad.q, edge_state(direction, states, quad));
    return transition_sums(direction, states, edge, quad);
}

// The states at the direction's next frame. y are the emissions of that frame.
fn advance(direction: u32, quad: Quad, states: States, y: States) -> States {
    return with_emission(incoming(direction, quad, states), y);
}

// Processes the steps from first_step to the end of the dispatch range or to the direction's last
// step, whichever comes first.
fn sweep_inward(assignment: Assignment, quad: Quad, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let end = min(params.end_step, steps_of(d, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    var next = load_block(assignment.g, d, params.first_step, assignment.item, quad);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = block_emissions(next, quad);
        next = load_block(assignment.g, d, k + BLOCK, assignment.item, quad);
        states = advance(d, quad, states, frame_emissions(y.a, y.blanks.m.x, y.blanks.e.x, quad));
        store_row(assignment, k, quad.q, states);
        if (k + 1u < end) {
            states = advance(d, quad, states, frame_emissions(y.b, y.blanks.m.y, y.blanks.e.y, quad));
        }
        if (k + 2u < end) {
            states = advance(d, quad, states, frame_emissions(y.c, y.blanks.m.z, y.blanks.e.z, quad));
        }
        if (k + 3u < end) {
            states = advance(d, quad, states, frame_emissions(y.d, y.blanks.m.w, y.blanks.e.w, quad));
        }
        states = States(normalised(states.blank), normalised(states.label));
    }
    return states;
}

// Processes the other direction's steps in the dispatch range, in descending order.
fn sweep_outward(assignment: Assignment, quad: Quad, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let other = 1u - d;
    let end = min(params.end_step, steps_of(other, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    var next = load_block(assignment.g, other, last * BLOCK, assignment.item, quad);
    var next_row = stored_row(assignment, last * BLOCK, quad.q);
    for (var b = last + 1u; b > first; b--) {
        let k = (b - 1u) * BLOCK;
        let y = block_emissions(next, quad);
        let row_a = next_row;
        let preceding = max(b, 2u) * BLOCK - 2u * BLOCK;
        next = load_block(assignment.g, other, preceding, assignment.item, quad);
        next_row = stored_row(assignment, max(preceding, params.first_step), quad.q);

        let y_a = frame_emissions(y.a, y.blanks.m.x, y.blanks.e.x, quad);
        let y_b = frame_emissions(y.b, y.blanks.m.y, y.blanks.e.y, quad);
        let y_c = frame_emissions(y.c, y.blanks.m.z, y.blanks.e.z, quad);
        let y_d = frame_emissions(y.d, y.blanks.m.w, y.blanks.e.w, quad);
        let row_b = advance(other, quad, row_a, y_b);
        let row_c = advance(other, quad, row_b, y_c);
        let row_d = advance(other, quad, row_c, y_d);

        var weights = array<Weights, 4>();
        if (k + 3u < end) {
            let incoming_d = incoming(d, quad, states);
            weights[3] = weights_of(incoming_d, row_d, assignment.total_exponent);
            states = with_emission(incoming_d, y_d);
        }
        if (k + 2u < end) {
            let incoming_c = incoming(d, quad, states);
            weights[2] = weights_of(incoming_c, row_c, assignment.total_exponent);
            states = with_emission(incoming_c, y_c);
        }
        if (k + 1u < end) {
            let incoming_b = incoming(d, quad, states);
            weights[1] = weights_of(incoming_b, row_b, assignment.total_exponent);
            states = with_emission(incoming_b, y_b);
        }
        let incoming_a = incoming(d, quad, states);
        weights[0] = weights_of(incoming_a, row_a, assignment.total_exponent);
        states = with_emission(incoming_a, y_a);
        states = States(normalised(states.blank), normalised(states.label));

        if (quad.q < params.quads) {
            let at = lattice_part(k, other, assignment.g, 0u) + quad.q;
            let part = params.quads;
            lattice[at] = words(weights[0].labels);
            lattice[at + part] = words(weights[1].labels);
            lattice[at + 2u * part] = words(weights[2].labels);
            lattice[at + 3u * part] = words(weights[3].labels);
            lattice[at + 4u * part] =
                words(vec4<f32>(weights[0].blanks, weights[1].blanks, weights[2].blanks, weights[3].blanks));
            lattice[at + 5u * part] = words(
                vec4<f32>(
                    weights[0].all_labels,
                    weights[1].all_labels,
                    weights[2].all_labels,
                    weights[3].all_labels,
                ),
            );
        }
    }
    return states;
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
    let assignment = assignment_of(g, workgroup.z, item);
    let quad = quad_of(g, item.labels, lane);
    var states: States;
    if (!OUTWARD && params.first_step == 0u) {
        states = initial_states(assignment.direction, item.labels, lane);
    } else {
        states = load_carry(params.carry_row, assignment, lane);
    }
    if (params.checkpoint_row != 0u) {
        store_carry(params.checkpoint_row, assignment, lane, states);
    }
    if (OUTWARD) {
        states = sweep_outward(assignment, quad, states);
    } else {
        states = sweep_inward(assignment, quad, states);
    }
    store_carry(params.carry_row, assignment, lane, states);
}
