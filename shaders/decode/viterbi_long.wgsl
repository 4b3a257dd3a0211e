// viterbi_long: align for labels that have more quads than a workgroup has lanes: the scores of two frames lie in the carry, in
// turn, and lanes stride over quads. The same operations on the same numbers. Twin: src/decode/align.rs.
//
// in, out, formula as in align.
// grid one workgroup an item; lanes stride over quads.
// barriers: one a step; a row is written while the one before is read.

fn own_row(turn: u32) -> u32 {
    return params.spill_row + turn;
}

fn barrier() {
    storageBarrier();
    workgroupBarrier();
}

fn step(g: u32, item: Item, t: u32, row: u32, starred: Starred) -> Step_ {
    let quad = starred.quad;
    var edge = no_edge();
    if (quad.q > 0u) {
        edge = offered(carried(row, g, quad.q - 1u));
    }
    let first = first_entry(g, 0u, t, item.frames);
    let blank = blank_score(entry(first, select(params.blank, 0u, GATHERED)), g, t);
    let label = label_scores(entries_of(first, quad.columns), g, t, starred);
    return best_step(carried(row, g, quad.q), edge, quad, blank, label);
}

@compute @workgroup_size(LANES)
fn viterbi_long(
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
    for (var q = lane; q < params.quads; q += LANES) {
        var best: Best;
        if (params.first_step == 0u) {
            best = first_best(q);
        } else {
            best = carried(params.carry_row, g, q);
        }
        if (params.checkpoint_row != 0u) {
            carry_on(params.checkpoint_row, g, q, best);
        }
        carry_on(own_row(0u), g, q, best);
    }
    barrier();
    let end = min(params.end_step, item.frames);
    var turn = 0u;
    for (var t = params.first_step; t < end; t++) {
        for (var q = lane; q <= item.labels / 4u; q += LANES) {
            let now = step(g, item, t, own_row(turn), starred_quad(g, item.labels, q));
            carry_on(own_row(1u - turn), g, q, now.best);
            let at = backpointer_row(t, g) + q;
            if (KEEP && t % 2u == 0u) {
                backpointers[at] = now.backpointers;
            } else if (KEEP) {
                backpointers[at] |= now.backpointers << 16u;
            }
        }
        turn = 1u - turn;
        barrier();
    }
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        carry_on(params.carry_row, g, q, carried(own_row(turn), g, q));
    }
}
