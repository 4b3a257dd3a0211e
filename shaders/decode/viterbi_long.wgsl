// viterbi_long: does the same as `viterbi` for items with more quads than a workgroup has lanes.
// The scores of two consecutive frames are in the spill rows of the carry, and lanes stride over
// the quads. Performs the same operations on the same numbers. Must match src/decode/align.rs.
//
// in, out, formula: as in `viterbi`.
// grid: one workgroup per item; lanes stride over the quads.
// barriers: one per frame, because a row is written while the row before is read.

// The spill row of the states; `parity` selects the current one of two.
fn own_row(parity: u32) -> u32 {
    return params.spill_row + parity;
}

fn row_barrier() {
    storageBarrier();
    workgroupBarrier();
}

fn advance(g: u32, item: Item, t: u32, row: u32, star_quad: StarGroup) -> ViterbiStep {
    let quad = star_quad.group;
    var edge = no_edge_state();
    if (quad.index > 0u) {
        edge = viterbi_edge_state(load_carry(row, g, quad.index - 1u));
    }
    let first = first_entry(g, 0u, t, item.frames);
    let blank = entry(first, select(params.blank, 0u, READ_GATHERED));
    let labels = entries_of(first, columns_of(quad, item.labels));
    let row_max = row_max_of(g, 0u, t, item.frames);
    let frame = frame_scores(g, t, star_quad, labels, blank, row_max);
    return viterbi_step(load_carry(row, g, quad.index), edge, quad, frame);
}

@compute @workgroup_size(LANES)
fn viterbi_long(
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
    for (var q = lane; q < params.quads; q += LANES) {
        var scores: PathScores;
        if (params.first_step == 0u) {
            scores = initial_scores(q);
        } else {
            scores = load_carry(params.carry_row, g, q);
        }
        if (params.checkpoint_row != 0u) {
            store_carry(params.checkpoint_row, g, q, scores);
        }
        store_carry(own_row(0u), g, q, scores);
    }
    row_barrier();
    let end = min(params.end_step, item.frames);
    var parity = 0u;
    for (var t = params.first_step; t < end; t++) {
        for (var q = lane; q <= item.labels / 4u; q += LANES) {
            let next = advance(g, item, t, own_row(parity), star_group_of(g, item.labels, q));
            store_carry(own_row(1u - parity), g, q, next.scores);
            let at = backpointer_group(t, g, q);
            let shift = backpointer_shift(t);
            if (STORE_ROWS && shift == 0u) {
                backpointers[at] = next.backpointers;
            } else if (STORE_ROWS) {
                backpointers[at] |= next.backpointers << vec4<u32>(shift);
            }
        }
        parity = 1u - parity;
        row_barrier();
    }
    for (var q = lane; q <= item.labels / 4u; q += LANES) {
        store_carry(params.carry_row, g, q, load_carry(own_row(parity), g, q));
    }
}
