// viterbi: the likeliest path through an item's labels (Viterbi), one step a frame, from the first to the last. What is kept of
// a frame is how each state was reached, four bits for a blank and a label. Twin: src/decode/align.rs.
//
// formula best[t,s] = score[t,s] + max over what leads to s of best[t-1, …].
// in input or gathered entries; row_stats where there are stars.  out backpointers; carry: the scores between two dispatches.
// grid one workgroup an item; a lane holds a quad of places.
// barriers: those of `passed`: one a step, or none where a subgroup holds all quads.

fn step(g: u32, starred: Starred, best: Best, t: u32, labels: vec4<u32>, blank: u32) -> Step_ {
    let quad = starred.quad;
    let edge = passed(0u, quad.q, offered(best));
    return best_step(best, edge, quad, blank_score(blank, g, t), label_scores(labels, g, t, starred));
}

// From step first_step to the end of the window or of the item.
fn through(g: u32, item: Item, starred: Starred, begin: Best) -> Best {
    var best = begin;
    let quad = starred.quad;
    let end = min(params.end_step, item.frames);
    if (params.first_step >= end) {
        return best;
    }
    var next = frames_at(g, 0u, params.first_step, item, quad);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = next;
        next = frames_at(g, 0u, k + BLOCK, item, quad);
        let a = step(g, starred, best, k, y.a, y.blanks.x);
        best = a.best;
        var first = a.backpointers;
        var second = 0u;
        if (k + 1u < end) {
            let b = step(g, starred, best, k + 1u, y.b, y.blanks.y);
            best = b.best;
            first |= b.backpointers << 16u;
        }
        if (k + 2u < end) {
            let c = step(g, starred, best, k + 2u, y.c, y.blanks.z);
            best = c.best;
            second = c.backpointers;
        }
        if (k + 3u < end) {
            let d = step(g, starred, best, k + 3u, y.d, y.blanks.w);
            best = d.best;
            second |= d.backpointers << 16u;
        }
        if (KEEP && quad.q < params.quads) {
            backpointers[backpointer_row(k, g) + quad.q] = first;
            backpointers[backpointer_row(k + 2u, g) + quad.q] = second;
        }
    }
    return best;
}

@compute @workgroup_size(LANES)
fn viterbi(
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
    let starred = starred_quad(g, item.labels, lane);
    var best: Best;
    if (params.first_step == 0u) {
        best = first_best(lane);
    } else {
        best = carried(params.carry_row, g, lane);
    }
    if (params.checkpoint_row != 0u) {
        carry_on(params.checkpoint_row, g, lane, best);
    }
    carry_on(params.carry_row, g, lane, through(g, item, starred, best));
}
