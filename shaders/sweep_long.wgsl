// sweep_long: does the same as `sweep` for items with more quads than a workgroup has lanes. Rows
// of states are in the spill rows of the carry, and lanes stride over the quads. Performs the same
// operations in the same order, so the bits of the results do not depend on which of the two
// kernels ran.
//
// in, out, formula: as in `sweep`; carry: always written, and has the spill rows too.
// grid: one workgroup per item and direction (z); lanes stride over the quads.
// barriers: two where an outward sweep begins, and one per written row, because a step reads what
// neighbouring lanes wrote in the step before. Two rows alternate, so no lane overwrites a row that
// another lane still reads.

// The spill rows: two for the sweep's own states, of which `parity` selects the current one, then
// four for a block of the other direction.
fn own_row(parity: u32) -> u32 {
    return params.spill_row + parity;
}

fn block_row(f: u32) -> u32 {
    return params.spill_row + 2u + f;
}

// The number of rows of the carry, which end with the spill rows. Must match `spill_rows` in
// src/plan/tiling.rs.
fn rows_of_carry() -> u32 {
    return params.spill_row + 6u;
}

fn row_barrier() {
    storageBarrier();
    workgroupBarrier();
}

// The sum over the transitions into each state of a quad, without the emission, from a row of the
// carry.
fn incoming(direction: u32, assignment: Assignment, row: u32, quad: Group) -> States {
    let labels = assignment.item.labels;
    let states = load_carry(row, assignment, quad.index);
    var edge = no_edge_state();
    if (direction == 0u && quad.index > 0u) {
        edge = edge_state(
            direction,
            load_carry(row, assignment, quad.index - 1u),
            group_of(assignment.g, labels, quad.index - 1u),
        );
    } else if (direction == 1u && quad.index < labels / 4u) {
        edge = edge_state(
            direction,
            load_carry(row, assignment, quad.index + 1u),
            group_of(assignment.g, labels, quad.index + 1u),
        );
    }
    return transition_sums(direction, states, edge, quad);
}

// `sweep` normalises the states once per block, so this kernel must do so at the same steps.
fn normalised_at_block_end(states: States, ends_block: bool) -> States {
    if (ends_block) {
        return States(normalised(states.blank), normalised(states.label));
    }
    return states;
}

// Processes the steps from first_step to the end of the dispatch range or to the direction's last
// step, whichever comes first. Returns the parity of the row that holds the states of the last
// step.
fn sweep_inward(assignment: Assignment, lane: u32) -> u32 {
    let d = assignment.direction;
    let end = min(params.end_step, steps_of(d, assignment.item.frames));
    var parity = 0u;
    for (var k = params.first_step; k < end; k++) {
        for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
            let quad = group_of(assignment.g, assignment.item.labels, q);
            let y = emissions_at(assignment.g, d, k, assignment.item, quad);
            let states = with_emission(incoming(d, assignment, own_row(parity), quad), y);
            if (k % BLOCK == 0u) {
                store_row(assignment, k, q, states);
            }
            store_carry(
                own_row(1u - parity),
                assignment,
                q,
                normalised_at_block_end(states, k % BLOCK == BLOCK - 1u || k + 1u == end),
            );
        }
        parity = 1u - parity;
        row_barrier();
    }
    return parity;
}

// Sets `reference`. `row` is the row of the first step that is processed.
fn set_reference(assignment: Assignment, lane: u32, row: u32) {
    if (!begins_outward(assignment)) {
        reference = load_reference(assignment);
        return;
    }
    var largest = 0;
    for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
        let quad = group_of(assignment.g, assignment.item.labels, q);
        let sums = incoming(assignment.direction, assignment, own_row(0u), quad);
        largest = max(largest, largest_exponent(sums, load_carry(row, assignment, q)));
    }
    reference = largest_in_workgroup(lane, largest);
    if (lane == 0u) {
        store_reference(assignment);
    }
}

// Processes the other direction's steps in the dispatch range, in descending order. Returns the
// parity of the row that holds the states of the last step.
fn sweep_outward(assignment: Assignment, lane: u32) -> u32 {
    let d = assignment.direction;
    let other = 1u - d;
    let end = min(params.end_step, steps_of(other, assignment.item.frames));
    var parity = 0u;
    for (var block_end = end; block_end > params.first_step; block_end = (block_end - 1u) / BLOCK * BLOCK) {
        let first = (block_end - 1u) / BLOCK * BLOCK;
        for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
            store_carry(block_row(0u), assignment, q, stored_row(assignment, first, q));
        }
        row_barrier();
        for (var k = first + 1u; k < block_end; k++) {
            for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
                let quad = group_of(assignment.g, assignment.item.labels, q);
                let y = emissions_at(assignment.g, other, k, assignment.item, quad);
                let states = with_emission(
                    incoming(other, assignment, block_row(k - first - 1u), quad),
                    y,
                );
                store_carry(block_row(k - first), assignment, q, states);
            }
            row_barrier();
        }
        if (block_end == end) {
            set_reference(assignment, lane, block_row(end - 1u - first));
        }
        for (var k = block_end; k > first; k--) {
            let f = k - 1u - first;
            for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
                let quad = group_of(assignment.g, assignment.item.labels, q);
                let y = emissions_at(assignment.g, other, k - 1u, assignment.item, quad);
                let sums = incoming(d, assignment, own_row(parity), quad);
                let weights = weights_of(sums, load_carry(block_row(f), assignment, q));
                let at = lattice_part(first, other, assignment.g, 0u) + q;
                lattice[at + f * params.quads] = words(weights.labels);
                lattice[at + 4u * params.quads][f] = bitcast<u32>(weights.blanks);
                store_carry(
                    own_row(1u - parity),
                    assignment,
                    q,
                    normalised_at_block_end(with_emission(sums, y), f == 0u),
                );
            }
            parity = 1u - parity;
            row_barrier();
        }
    }
    return parity;
}

@compute @workgroup_size(LANES)
fn sweep_long(
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
    let assignment = Assignment(g, workgroup.z, item);
    for (var q = lane; q < params.quads; q += LANES) {
        var states: States;
        if (!OUTWARD && params.first_step == 0u) {
            states = initial_states(assignment.direction, item.labels, q);
        } else {
            states = load_carry(params.carry_row, assignment, q);
        }
        if (params.checkpoint_row != 0u) {
            store_carry(params.checkpoint_row, assignment, q, states);
        }
        store_carry(own_row(0u), assignment, q, states);
    }
    row_barrier();
    // `parity` is uniform over the workgroup, because all lanes run the same number of steps.
    var parity: u32;
    if (OUTWARD) {
        parity = sweep_outward(assignment, lane);
    } else {
        parity = sweep_inward(assignment, lane);
    }
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        store_carry(params.carry_row, assignment, q, load_carry(own_row(parity), assignment, q));
    }
}
