// viterbi: finds the most probable path through an item's labels (the Viterbi algorithm), from the
// first frame to the last. Stores backpointers, four bits per frame and pair. Must match
// src/decode/align.rs.
//
// formula: best[t,s] = score[t,s] + max_s' best[t-1,s'], where s' are the predecessors of s, and
// score is the log-probability of the state's class, up to a constant per frame.
// in: items, label_table; the input or its gathered entries; row_stats.
// in, out: carry: the checkpoints, and the scores between two dispatches.
// out: backpointers.
// grid: one workgroup per item; a lane holds one quad.
// barriers: one per frame, in the neighbour exchange, or none if the workgroup is one subgroup.

// Computes the scores at frame t from those at the frame before. `labels` and `blank` are the bits
// of the input entries of frame t.
fn advance(
    g: u32,
    star_quad: StarQuad,
    scores: PathScores,
    t: u32,
    labels: vec4<u32>,
    blank: u32,
) -> ViterbiStep {
    let quad = star_quad.quad;
    let edge = exchange_with_neighbour(0u, quad.index, viterbi_edge_state(scores));
    return viterbi_step(
        scores,
        edge,
        quad,
        blank_score_at(blank, g, t),
        label_scores(labels, g, t, star_quad),
    );
}

// Processes the frames from first_step to the end of the dispatch range or to the item's last
// frame, whichever comes first.
fn sweep_frames(g: u32, item: Item, star_quad: StarQuad, begin: PathScores) -> PathScores {
    var scores = begin;
    let quad = star_quad.quad;
    let end = min(params.end_step, item.frames);
    if (params.first_step >= end) {
        return scores;
    }
    var next = load_block(g, 0u, params.first_step, item, quad);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = next;
        next = load_block(g, 0u, k + BLOCK, item, quad);
        let a = advance(g, star_quad, scores, k, y.a, y.blanks.x);
        scores = a.scores;
        var first = a.backpointers;
        var second = 0u;
        if (k + 1u < end) {
            let b = advance(g, star_quad, scores, k + 1u, y.b, y.blanks.y);
            scores = b.scores;
            first |= b.backpointers << 16u;
        }
        if (k + 2u < end) {
            let c = advance(g, star_quad, scores, k + 2u, y.c, y.blanks.z);
            scores = c.scores;
            second = c.backpointers;
        }
        if (k + 3u < end) {
            let d = advance(g, star_quad, scores, k + 3u, y.d, y.blanks.w);
            scores = d.scores;
            second |= d.backpointers << 16u;
        }
        if (STORE_ROWS && quad.index < params.quads) {
            backpointers[backpointer_row(k, g) + quad.index] = first;
            backpointers[backpointer_row(k + 2u, g) + quad.index] = second;
        }
    }
    return scores;
}

@compute @workgroup_size(LANES)
fn viterbi(
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
    let star_quad = star_quad_of(g, item.labels, lane);
    var scores: PathScores;
    if (params.first_step == 0u) {
        scores = initial_scores(lane);
    } else {
        scores = load_carry(params.carry_row, g, lane);
    }
    if (params.checkpoint_row != 0u) {
        store_carry(params.checkpoint_row, g, lane, scores);
    }
    store_carry(params.carry_row, g, lane, sweep_frames(g, item, star_quad, scores));
}
