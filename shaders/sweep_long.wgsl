// sweep_long: sweep for labels that have more quads than a workgroup has lanes: rows of states lie in the carry, and lanes
// stride over quads. The same operations in the same order, so an item's bits do not tell which of the two swept it.
//
// in, out, formula as in sweep; carry: scratch rows too.
// grid one workgroup an item and direction (z); lanes stride over quads.
// barriers: one a step; a row is written while the one before is read.

// Scratch rows: two of the sweep's own, in turn, and those of a block of the other direction.
fn own_row(turn: u32) -> u32 {
    return params.spill_row + turn;
}

fn block_row(f: u32) -> u32 {
    return params.spill_row + 2u + f;
}

fn barrier() {
    storageBarrier();
    workgroupBarrier();
}

// What leads to a quad from a row of the carry.
fn into(direction: u32, assignment: Assignment, row: u32, quad: Quad) -> States {
    let labels = assignment.item.labels;
    let states = carried(row, assignment, quad.q);
    var edge = no_edge();
    if (direction == 0u && quad.q > 0u) {
        edge = offer(direction, carried(row, assignment, quad.q - 1u), quad_of(assignment.g, labels, quad.q - 1u));
    } else if (direction == 1u && quad.q < labels / 4u) {
        edge = offer(direction, carried(row, assignment, quad.q + 1u), quad_of(assignment.g, labels, quad.q + 1u));
    }
    return paths(direction, states, edge, quad);
}

fn settled(states: States, ends_block: bool) -> States {
    if (ends_block) {
        return States(normalised(states.blank), normalised(states.label));
    }
    return states;
}

fn sweep_in(assignment: Assignment, lane: u32) -> u32 {
    let d = assignment.direction;
    let end = min(params.end_step, steps_of(d, assignment.item.frames));
    var turn = 0u;
    for (var k = params.first_step; k < end; k++) {
        for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
            let quad = quad_of(assignment.g, assignment.item.labels, q);
            let y = emissions_at(assignment.g, d, k, assignment.item, quad);
            let now = emitted(into(d, assignment, own_row(turn), quad), y);
            if (k % BLOCK == 0u) {
                keep(assignment, k, q, now);
            }
            carry_on(own_row(1u - turn), assignment, q, settled(now, k % BLOCK == BLOCK - 1u || k + 1u == end));
        }
        turn = 1u - turn;
        barrier();
    }
    return turn;
}

fn sweep_out(assignment: Assignment, lane: u32) -> u32 {
    let d = assignment.direction;
    let other = 1u - d;
    let end = min(params.end_step, steps_of(other, assignment.item.frames));
    var turn = 0u;
    for (var left = end; left > params.first_step; left = (left - 1u) / BLOCK * BLOCK) {
        let first = (left - 1u) / BLOCK * BLOCK;
        for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
            carry_on(block_row(0u), assignment, q, kept(assignment, first, q));
        }
        barrier();
        for (var k = first + 1u; k < left; k++) {
            for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
                let quad = quad_of(assignment.g, assignment.item.labels, q);
                let y = emissions_at(assignment.g, other, k, assignment.item, quad);
                let now = emitted(into(other, assignment, block_row(k - first - 1u), quad), y);
                carry_on(block_row(k - first), assignment, q, now);
            }
            barrier();
        }
        for (var k = left; k > first; k--) {
            let f = k - 1u - first;
            for (var q = lane; q <= assignment.item.labels / 4u; q += LANES) {
                let quad = quad_of(assignment.g, assignment.item.labels, q);
                let y = emissions_at(assignment.g, other, k - 1u, assignment.item, quad);
                let paths = into(d, assignment, own_row(turn), quad);
                let weights = weights_of(paths, carried(block_row(f), assignment, q), assignment.top);
                let at = lattice_part(first, other, assignment.g, 0u) + q;
                lattice[at + f * params.quads] = words(weights.labels);
                lattice[at + 4u * params.quads][f] = bitcast<u32>(weights.blanks);
                lattice[at + 5u * params.quads][f] = bitcast<u32>(weights.all_labels);
                carry_on(own_row(1u - turn), assignment, q, settled(emitted(paths, y), f == 0u));
            }
            turn = 1u - turn;
            barrier();
        }
    }
    return turn;
}

@compute @workgroup_size(LANES)
fn sweep_long(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    if (item.sweeps == 0u) {
        return;
    }
    let assignment = assignment_of(g, workgroup.z, item);
    for (var q = lane; q < params.quads; q += LANES) {
        var states: States;
        if (!OUT && params.first_step == 0u) {
            states = first_states(assignment.direction, item.labels, q);
        } else {
            states = carried(params.carry_row, assignment, q);
        }
        if (params.checkpoint_row != 0u) {
            carry_on(params.checkpoint_row, assignment, q, states);
        }
        carry_on(own_row(0u), assignment, q, states);
    }
    barrier();
    // `turn` is the same in all lanes: all go round as often.
    var turn: u32;
    if (OUT) {
        turn = sweep_out(assignment, lane);
    } else {
        turn = sweep_in(assignment, lane);
    }
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        carry_on(params.carry_row, assignment, q, carried(own_row(turn), assignment, q));
    }
}
