// sweep: alpha and beta at once, one step a frame. In: from the ends of the item to its middle. Out: on from the middle
// to the other ends, over the rows that the other direction kept, making weights of them: occupancies but for a factor.
//
// Of the rows on the way in only each fourth is kept, the first of a block; the way out makes the others again, bit for
// bit, in registers. The weights, four bytes a label and frame, then lie where the row lay.
//
// formula alpha[t,s] = y[t,s] · Σ alpha[t-1, what leads to s];  weight[t,s] = (Σ alpha[t-1, …]) · beta[t,s].
// in input or gathered entries; row_stats.  in, out lattice; carry: the states between two dispatches.
// grid one workgroup an item and direction (z); a lane holds a quad of places.
// barriers: those of `passed`: one a step, or none where a subgroup holds all quads.

// What leads to each state at the next frame of a direction.
fn into(direction: u32, quad: Quad, states: States) -> States {
    let edge = passed(direction, quad.q, offer(direction, states, quad));
    return paths(direction, states, edge, quad);
}

fn step(direction: u32, quad: Quad, states: States, y: States) -> States {
    return emitted(into(direction, quad, states), y);
}

// From step first_step to the end of the window or of the direction.
fn sweep_in(assignment: Assignment, quad: Quad, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let end = min(params.end_step, steps_of(d, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    var next = frames_at(assignment.g, d, params.first_step, assignment.item, quad);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = emissions_of(next, quad);
        next = frames_at(assignment.g, d, k + BLOCK, assignment.item, quad);
        states = step(d, quad, states, both_of(y.a, y.blanks.m.x, y.blanks.e.x, quad));
        keep(assignment, k, quad.q, states);
        if (k + 1u < end) {
            states = step(d, quad, states, both_of(y.b, y.blanks.m.y, y.blanks.e.y, quad));
        }
        if (k + 2u < end) {
            states = step(d, quad, states, both_of(y.c, y.blanks.m.z, y.blanks.e.z, quad));
        }
        if (k + 3u < end) {
            states = step(d, quad, states, both_of(y.d, y.blanks.m.w, y.blanks.e.w, quad));
        }
        states = States(normalised(states.blank), normalised(states.label));
    }
    return states;
}

// Through the steps of the other direction that the window holds, the last first.
fn sweep_out(assignment: Assignment, quad: Quad, begin: States) -> States {
    var states = begin;
    let d = assignment.direction;
    let other = 1u - d;
    let end = min(params.end_step, steps_of(other, assignment.item.frames));
    if (params.first_step >= end) {
        return states;
    }
    let first = params.first_step / BLOCK;
    let last = (end - 1u) / BLOCK;
    var next = frames_at(assignment.g, other, last * BLOCK, assignment.item, quad);
    var next_row = kept(assignment, last * BLOCK, quad.q);
    for (var b = last + 1u; b > first; b--) {
        let k = (b - 1u) * BLOCK;
        let y = emissions_of(next, quad);
        let row_a = next_row;
        let before = max(b, 2u) * BLOCK - 2u * BLOCK;
        next = frames_at(assignment.g, other, before, assignment.item, quad);
        next_row = kept(assignment, max(before, params.first_step), quad.q);

        let y_a = both_of(y.a, y.blanks.m.x, y.blanks.e.x, quad);
        let y_b = both_of(y.b, y.blanks.m.y, y.blanks.e.y, quad);
        let y_c = both_of(y.c, y.blanks.m.z, y.blanks.e.z, quad);
        let y_d = both_of(y.d, y.blanks.m.w, y.blanks.e.w, quad);
        let row_b = step(other, quad, row_a, y_b);
        let row_c = step(other, quad, row_b, y_c);
        let row_d = step(other, quad, row_c, y_d);

        var weights = array<Weights, 4>();
        if (k + 3u < end) {
            let paths_d = into(d, quad, states);
            weights[3] = weights_of(paths_d, row_d, assignment.top);
            states = emitted(paths_d, y_d);
        }
        if (k + 2u < end) {
            let paths_c = into(d, quad, states);
            weights[2] = weights_of(paths_c, row_c, assignment.top);
            states = emitted(paths_c, y_c);
        }
        if (k + 1u < end) {
            let paths_b = into(d, quad, states);
            weights[1] = weights_of(paths_b, row_b, assignment.top);
            states = emitted(paths_b, y_b);
        }
        let paths_a = into(d, quad, states);
        weights[0] = weights_of(paths_a, row_a, assignment.top);
        states = emitted(paths_a, y_a);
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
                vec4<f32>(weights[0].all_labels, weights[1].all_labels, weights[2].all_labels, weights[3].all_labels),
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
    let g = folded(workgroup, grid);
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
    if (!OUT && params.first_step == 0u) {
        states = first_states(assignment.direction, item.labels, lane);
    } else {
        states = carried(params.carry_row, assignment, lane);
    }
    if (params.checkpoint_row != 0u) {
        carry_on(params.checkpoint_row, assignment, lane, states);
    }
    if (OUT) {
        states = sweep_out(assignment, quad, states);
    } else {
        states = sweep_in(assignment, quad, states);
    }
    carry_on(params.carry_row, assignment, lane, states);
}
