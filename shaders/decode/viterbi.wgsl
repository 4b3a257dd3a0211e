// viterbi: finds the most probable path through an item's labels (the Viterbi algorithm), from the
// first frame to the last. Stores backpointers, four bits per frame and pair. Must match
// src/decode/align.rs.
//
// formula: best[t,s] = score[t,s] + max_s' best[t-1,s'], where s' are the predecessors of s, and
// score is the log-probability of the state's class, up to a constant per frame.
// in: items, label_table; the input or its gathered entries; row_stats.
// in, out: carry: the checkpoints, and the scores between two dispatches.
// out: backpointers.
// grid: one workgroup per item; a lane holds one group of PAIRS state pairs.
// barriers: one per frame, in the neighbour exchange, or none if the workgroup is one subgroup.

// The scores of the states of a group at the four frames of a block.
struct BlockScores {
    a: FrameScores,
    b: FrameScores,
    c: FrameScores,
    d: FrameScores,
}

// The scores at the frames of the block that begins at frame t. Frames past the last one get those
// of the last one.
fn block_scores(g: u32, t: u32, last: u32, group: StarGroup, y: BlockEntries) -> BlockScores {
    return BlockScores(
        frame_scores(g, t, group, y.a, y.blanks.x, y.row_max.x),
        frame_scores(g, min(t + 1u, last), group, y.b, y.blanks.y, y.row_max.y),
        frame_scores(g, min(t + 2u, last), group, y.c, y.blanks.z, y.row_max.z),
        frame_scores(g, min(t + 3u, last), group, y.d, y.blanks.w, y.row_max.w),
    );
}

// Computes the scores of the paths after a frame from those after the frame before.
fn advance(group: Group, scores: PathScores, frame: FrameScores) -> ViterbiStep {
    let edge = exchange_with_neighbour(0u, group.index, viterbi_edge_state(scores));
    return viterbi_step(scores, edge, group, frame);
}

// Processes the frames from first_step to the end of the dispatch range or to the item's last
// frame, whichever comes first.
fn sweep_frames(g: u32, item: Item, star_group: StarGroup, begin: PathScores) -> PathScores {
    var scores = begin;
    let group = star_group.group;
    let end = min(params.end_step, item.frames);
    if (params.first_step >= end) {
        return scores;
    }
    let stores = STORE_ROWS && group.index < row_groups();
    // The words of the backpointers. They have twice as many frames as a block, so the dispatch
    // before may have stored their first half.
    var words = Words(0u);
    if (stores && backpointer_shift(params.first_step) != 0u) {
        words = backpointers[backpointer_group(params.first_step, g, group.index)];
    }
    var next = load_block(g, 0u, params.first_step, item, group);
    for (var k = params.first_step; k < end; k += BLOCK) {
        let y = block_scores(g, k, item.frames - 1u, star_group, next);
        let a = advance(group, scores, y.a);
        scores = a.scores;
        var pointers = a.backpointers;
        if (k + 1u < end) {
            let b = advance(group, scores, y.b);
            scores = b.scores;
            pointers |= b.backpointers << Words(4u);
        }
        next = load_block(g, 0u, k + BLOCK, item, group);
        if (k + 2u < end) {
            let c = advance(group, scores, y.c);
            scores = c.scores;
            pointers |= c.backpointers << Words(8u);
        }
        if (k + 3u < end) {
            let d = advance(group, scores, y.d);
            scores = d.scores;
            pointers |= d.backpointers << Words(12u);
        }
        let shift = backpointer_shift(k);
        if (shift == 0u) {
            words = Words(0u);
        }
        words |= pointers << Words(shift);
        if (stores) {
            backpointers[backpointer_group(k, g, group.index)] = words;
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
    let star_group = star_group_of(g, item.labels, lane);
    var scores: PathScores;
    if (params.first_step == 0u) {
        scores = initial_scores(lane);
    } else {
        scores = load_carry(params.carry_row, g, lane);
    }
    if (params.checkpoint_row != 0u) {
        store_carry(params.checkpoint_row, g, lane, scores);
    }
    store_carry(params.carry_row, g, lane, sweep_frames(g, item, star_group, scores));
}
