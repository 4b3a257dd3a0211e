// The bindings of both Viterbi kernels, and the recursion over maxima on a group of PAIRS state
// pairs. Must match src/decode/align.rs.

override LANES: u32 = 32u;
// True if backpointers are stored for `backtrace`.
override STORE_ROWS: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<u32>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> backpointers: array<Words>;
@group(0) @binding(7) var<storage, read_write> carry: array<Floats>;

// The scores of the best paths to the states of a group.
struct PathScores {
    blank: DoubleFloat,
    label: DoubleFloat,
}

// The scores after a frame, and for each pair four bits: the backpointers into the frame before.
// The lower two bits are the number of states from the blank back to its predecessor: 0 for the
// blank itself, 1 for the label before it. The upper two are that number for the label: 0 for the
// label itself, 1 for the blank before it, 2 for the label before it.
struct ViterbiStep {
    scores: PathScores,
    backpointers: Words,
}

// A group, and which of its labels are stars. A star is not a class, so its class is clamped to a
// valid one.
struct StarGroup {
    group: Group,
    is_star: Bools,
}

// The scores of the states of a group at one frame.
struct FrameScores {
    blank: Floats,
    label: Floats,
}

fn star_group_of(g: u32, labels: u32, index: u32) -> StarGroup {
    var group = group_of(g, labels, index);
    let is_star = group.classes == Words(params.classes);
    group.classes = min(group.classes, Words(params.classes - 1u));
    return StarGroup(group, is_star);
}

// Before the first frame only the first blank is possible.
fn initial_scores(group: u32) -> PathScores {
    let is_start = pair_indices(group) == Words(0u);
    return PathScores(
        DoubleFloat(select(Floats(IMPOSSIBLE_SCORE), Floats(0.0), is_start), Floats(0.0)),
        impossible_score(),
    );
}

// Computes one frame. Among predecessors of equal score, a state itself is preferred to the state
// before it, and that one to the state two before.
fn viterbi_step(
    previous: PathScores,
    edge: ScaledNumber,
    group: Group,
    frame: FrameScores,
) -> ViterbiStep {
    let last = previous.label;
    let edge_bits = select(edge.e, bitcast<i32>(IMPOSSIBLE_SCORE), group.index == 0u);
    let before = values_before(
        ScaledNumber(edge.m, edge_bits),
        Scaled(last.low, bitcast<Ints>(last.high)),
    );
    let label_before = DoubleFloat(bitcast<Floats>(before.e), before.m);
    let blank_from_label = is_greater(label_before, previous.blank);
    let into_blank = select_double(label_before, previous.blank, blank_from_label);

    var self_loop = last;
    if (DISTINCT) {
        self_loop = impossible_score();
    }
    let blank_is_better = is_greater(previous.blank, self_loop);
    let without_skip = select_double(previous.blank, self_loop, blank_is_better);
    let skip = select_double(label_before, impossible_score(), group.skip_allowed);
    let label_from_skip = is_greater(skip, without_skip);
    let into_label = select_double(skip, without_skip, label_from_skip);

    // The blank of a pair past the last one stays impossible, because its predecessors are.
    return ViterbiStep(
        PathScores(double_plus(into_blank, frame.blank), double_plus(into_label, frame.label)),
        Words(blank_from_label)
            | (Words(blank_is_better & !label_from_skip) << Words(2u))
            | (Words(label_from_skip) << Words(3u)),
    );
}

// The score of the last label of a group, as an edge state: its low part, and the bits of its high
// part.
fn viterbi_edge_state(scores: PathScores) -> ScaledNumber {
    return pair_of(Scaled(scores.label.low, bitcast<Ints>(scores.label.high)), PAIRS - 1u);
}

// The index of a group in part 0 of a row of the carry. Groups past the row get its last group.
fn carry_group(row: u32, g: u32, group: u32) -> u32 {
    return carry_part(row, 0u, g, 0u) * GROUPS_PER_QUAD + min(group, row_groups() - 1u);
}

fn load_carry(row: u32, g: u32, group: u32) -> PathScores {
    let at = carry_group(row, g, group);
    let part = row_groups();
    return PathScores(
        DoubleFloat(carry[at], carry[at + part]),
        DoubleFloat(carry[at + 2u * part], carry[at + 3u * part]),
    );
}

fn store_carry(row: u32, g: u32, group: u32, scores: PathScores) {
    let part = row_groups();
    if (group >= part) {
        return;
    }
    let at = carry_group(row, g, group);
    carry[at] = scores.blank.high;
    carry[at + part] = scores.blank.low;
    carry[at + 2u * part] = scores.label.high;
    carry[at + 3u * part] = scores.label.low;
}

// The index of the backpointers that lead from a group at frame t to the frame before.
fn backpointer_group(t: u32, g: u32, group: u32) -> u32 {
    return backpointer_row(t, g) * GROUPS_PER_QUAD + group;
}

// The scores at frame t, given the bits of the input entries and the maximum of the frame. A star
// has the score of a probability of 1.
fn frame_scores(
    g: u32,
    t: u32,
    group: StarGroup,
    labels: Words,
    blank: u32,
    row_max: f32,
) -> FrameScores {
    let label = score_in_frame(labels, row_max);
    var x = select(Floats(IMPOSSIBLE_SCORE), label, group.group.labels);
    if (any_of(group.is_star)) {
        x = select(x, log_sum_score(row_stats[t * params.tile_items + g]), group.is_star);
    }
    return FrameScores(score_in_frame(Words(blank), row_max), x);
}
