// sweep: computes alpha and beta at the same time, one step per frame. The inward sweep runs from
// both ends of the item to its middle. The outward sweep continues from the middle to the opposite
// ends. It combines its states with the rows that the other direction stored, and overwrites these
// rows with weights: occupancies up to a factor per frame.
//
// For the gradient, the inward sweep stores the first row of each block of four frames. The outward
// sweep recomputes the other rows in registers, bit for bit. It overwrites the stored row with the
// weights of the labels at the four frames of the block, which take the same memory, and writes the
// sums of the weights of each quad's blanks beside them.
//
// formula: alpha[t,s] = y[t,s] · Σ alpha[t-1,s'];  weight[t,s] = (Σ alpha[t-1,s']) · beta[t,s],
// where y is the emission and s' are the predecessors of s (Graves et al. 2006, eq. 6 to 11, 14).
// For beta, s' are the successors of s, at frame t+1.
// in: items, label_table; the input, and the emission table or the gathered entries if the plan has
// them; row_stats, item_status.
// in, out: lattice; carry: the checkpoints, and the states and references between two dispatches.
// The last dispatch of an outward sweep only reads it.
// grid: one workgroup per item and direction (z); a lane holds one group of PAIRS state pairs.
// barriers: two where an outward sweep begins. Without subgroups, also one per exchange with the
// neighbouring lane, and those of `quad_sums`; each computed row of states takes one exchange, and
// rows that are computed at the same time share it. With several subgroups, one per block.

fn rows_of_carry() -> u32 {
    return params.spill_row;
}

// The sum over the transitions into each state at the direction's next frame, without the emission.
fn incoming(direction: u32, group: Group, states: States) -> States {
    let edge = exchange_with_neighbour(
        direction,
        lane_of_group(group.index),
        edge_state(direction, states, group),
    );
    return transition_sums(direction, states, edge, group);
}

// The states at the direction's next frame. y are the emissions of that frame.
fn advance(direction: u32, group: Group, states: States, y: States) -> States {
    return with_emission(incoming(direction, group, states), y);
}

fn normalised_states(states: States) -> States {
    return States(normalised(states.blank), normalised(states.label));
}

// The states after a block, given those after its last frame.
fn end_of_block(group: Group, states: States) -> States {
    return owned_states(group.index, normalised_states(states));
}

// The row that the other direction stored for its block that begins at step k.
fn other_row(assignment: Assignment, k: u32, group: Group) -> States {
    return owned_states(group.index, stored_row(assignment, k, group.index));
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
        let y = block_emissions(next);
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
        states = end_of_block(group, states);
    }
    return states;
}

// Recomputes the rows of a block from its stored row.
fn block_rows(direction: u32, group: Group, row_a: States, y: BlockStates) -> BlockStates {
    let row_b = advance(direction, group, row_a, y.b);
    let row_c = advance(direction, group, row_b, y.c);
    return BlockStates(row_a, row_b, row_c, advance(direction, group, row_c, y.d));
}

// Sets `reference`. `begin` are the states before step `end` - 1 of the other direction, the first
// one that is processed, and `rows` are those of its block.
fn set_reference(assignment: Assignment, group: Group, begin: States, rows: BlockStates, end: u32) {
    if (!begins_outward(assignment)) {
        reference = load_reference(assignment);
        return;
    }
    var row = rows.a;
    switch ((end - 1u) % BLOCK) {
        case 1u: {
            row = rows.b;
        }
        case 2u: {
            row = rows.c;
        }
        case 3u: {
            row = rows.d;
        }
        default: {}
    }
    let sums = incoming(assignment.direction, group, begin);
    let own = select(0, largest_exponent(sums, row), owns_group());
    reference = largest_in_workgroup(group.index, own);
    if (group.index == 0u) {
        store_reference(assignment);
    }
}

// The weights of a block, by frame.
struct BlockWeights {
    a: Weights,
    b: Weights,
    c: Weights,
    d: Weights,
}

// Overwrites the stored row of the other direction's block that begins at step k.
fn store_weights(assignment: Assignment, k: u32, group: Group, weights: BlockWeights) {
    let blanks = quad_sums(
        group.index,
        vec4<f32>(weights.a.blanks, weights.b.blanks, weights.c.blanks, weights.d.blanks),
    );
    let part = row_groups();
    if (!stores_group(group.index)) {
        return;
    }
    let at = lattice_group(k, 1u - assignment.direction, assignment.g, group.index);
    lattice[at] = words(weights.a.labels);
    lattice[at + part] = words(weights.b.labels);
    lattice[at + 2u * part] = words(weights.c.labels);
    lattice[at + 3u * part] = words(weights.d.labels);
    lattice[at + 4u * part] = words(blanks);
}

// Advances the states by one frame, given the row of the other direction and the emissions at that
// frame. Returns the weights.
fn outward_frame(
    assignment: Assignment,
    group: Group,
    states: ptr<function, States>,
    row: States,
    y: States,
) -> Weights {
    let sums = incoming(assignment.direction, group, *states);
    *states = with_emission(sums, y);
    return weights_of(sums, row);
}

// Processes the last block of the other direction in the dispatch range, which begins at step k and
// may have less than four steps.
fn last_block(
    assignment: Assignment,
    group: Group,
    k: u32,
    end: u32,
    begin: States,
    rows: BlockStates,
    y: BlockStates,
) -> States {
    var states = begin;
    var weights = BlockWeights();
    if (k + 3u < end) {
        weights.d = outward_frame(assignment, group, &states, rows.d, y.d);
    }
    if (k + 2u < end) {
        weights.c = outward_frame(assignment, group, &states, rows.c, y.c);
    }
    if (k + 1u < end) {
        weights.b = outward_frame(assignment, group, &states, rows.b, y.b);
    }
    weights.a = outward_frame(assignment, group, &states, rows.a, y.a);
    store_weights(assignment, k, group, weights);
    return end_of_block(group, states);
}

// The first step of the block before the one that begins at step k, but not below the first step of
// the dispatch range.
fn preceding_block(k: u32) -> u32 {
    return max(k, params.first_step + BLOCK) - BLOCK;
}

// Processes the other direction's steps in the dispatch range, in descending order.
fn sweep_outward(assignment: Assignment, group: Group, begin: States) -> States {
    let end = min(params.end_step, steps_of(1u - assignment.direction, assignment.item.frames));
    if (params.first_step >= end) {
        return begin;
    }
    return outward_blocks(assignment, group, begin, end);
}

// Processes one direction of an item.
fn sweep_direction(direction: u32, g: u32, item: Item, lane: u32) {
    let assignment = Assignment(g, direction, item);
    let group = group_of(g, item.labels, group_of_lane(lane));
    var states: States;
    if (!OUTWARD && params.first_step == 0u) {
        states = initial_states(direction, item.labels, group.index);
    } else {
        states = load_carry(params.carry_row, assignment, group.index);
    }
    if (params.checkpoint_row != 0u) {
        store_carry(params.checkpoint_row, assignment, group.index, states);
    }
    if (OUTWARD) {
        states = sweep_outward(assignment, group, states);
    } else {
        states = sweep_inward(assignment, group, states);
    }
    store_carry(params.carry_row, assignment, group.index, states);
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
    if (item.sweeps == 0u || item_status[g] != OK) {
        return;
    }
    sweep_both(workgroup.z, g, item, lane);
}
