// The bindings of both Viterbi kernels, and the recursion over maxima on a quad of four state
// pairs. Must match src/decode/align.rs.

override LANES: u32 = 32u;
// True if backpointers are stored for `backtrace`.
override STORE_ROWS: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<u32>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> backpointers: array<u32>;
@group(0) @binding(7) var<storage, read_write> carry: array<vec4<f32>>;

// The scores of the best paths to the states of a quad.
struct PathScores {
    blank: DoubleFloat,
    label: DoubleFloat,
}

// The scores after a frame, and the backpointers into the frame before. For pair p of the quad, bit
// 4p is set if the best path to the blank comes from the label before it. The two bits from 4p + 1
// on are the number of states from the label back to its predecessor: 0 for the label itself, 1 for
// the blank before it, 2 for the label before it.
struct ViterbiStep {
    scores: PathScores,
    backpointers: u32,
}

// A quad, and which of its labels are stars. A star is not a class, so its class is clamped to a
// valid one.
struct StarQuad {
    quad: Group,
    is_star: vec4<bool>,
}

fn star_quad_of(g: u32, labels: u32, q: u32) -> StarQuad {
    var quad = group_of(g, labels, q);
    let is_star = quad.classes == vec4<u32>(params.classes);
    quad.classes = min(quad.classes, vec4<u32>(params.classes - 1u));
    return StarQuad(quad, is_star);
}

// Before the first frame only the first blank is possible.
fn initial_scores(q: u32) -> PathScores {
    let start = vec4<bool>(q == 0u, false, false, false);
    return PathScores(
        DoubleFloat(select(vec4<f32>(IMPOSSIBLE_SCORE), vec4<f32>(0.0), start), vec4<f32>(0.0)),
        impossible_score(),
    );
}

// Computes one frame. Among predecessors of equal score, a state itself is preferred to the state
// before it, and that one to the state two before.
fn viterbi_step(
    previous: PathScores,
    edge: ScaledNumber,
    quad: Group,
    blank_score: vec4<f32>,
    label_score: vec4<f32>,
) -> ViterbiStep {
    let last = previous.label;
    let edge_hi = select(bitcast<f32>(edge.e), IMPOSSIBLE_SCORE, quad.index == 0u);
    let label_before = DoubleFloat(vec4<f32>(edge_hi, last.high.xyz), vec4<f32>(edge.m, last.low.xyz));
    let blank_from_label = is_greater(label_before, previous.blank);
    let into_blank = select_double(label_before, previous.blank, blank_from_label);

    var self_loop = last;
    if (DISTINCT) {
        self_loop = impossible_score();
    }
    let blank_is_better = is_greater(previous.blank, self_loop);
    let without_skip = select_double(previous.blank, self_loop, blank_is_better);
    let skip = select_double(label_before, impossible_score(), quad.skip_allowed);
    let label_from_skip = is_greater(skip, without_skip);
    let into_label = select_double(skip, without_skip, label_from_skip);

    // The blank of a pair past the last one stays impossible, because its predecessors are.
    let bits = vec4<u32>(blank_from_label)
        | (vec4<u32>(blank_is_better & !label_from_skip) << vec4<u32>(1u))
        | (vec4<u32>(label_from_skip) << vec4<u32>(2u));
    let shifted = bits << vec4<u32>(0u, 4u, 8u, 12u);
    return ViterbiStep(
        PathScores(double_plus(into_blank, blank_score), double_plus(into_label, label_score)),
        shifted.x | shifted.y | shifted.z | shifted.w,
    );
}

// The score of the last label of a quad, as an edge state: its low part, and the bits of its high
// part.
fn viterbi_edge_state(scores: PathScores) -> ScaledNumber {
    return ScaledNumber(scores.label.low.w, bitcast<i32>(scores.label.high.w));
}

fn clamped_quad(q: u32) -> u32 {
    return min(q, params.quads - 1u);
}

fn load_carry(row: u32, g: u32, q: u32) -> PathScores {
    let at = carry_part(row, 0u, g, 0u) + clamped_quad(q);
    let part = params.quads;
    return PathScores(
        DoubleFloat(carry[at], carry[at + part]),
        DoubleFloat(carry[at + 2u * part], carry[at + 3u * part]),
    );
}

fn store_carry(row: u32, g: u32, q: u32, scores: PathScores) {
    if (q >= params.quads) {
        return;
    }
    let at = carry_part(row, 0u, g, 0u) + q;
    let part = params.quads;
    carry[at] = scores.blank.high;
    carry[at + part] = scores.blank.low;
    carry[at + 2u * part] = scores.label.high;
    carry[at + 3u * part] = scores.label.low;
}

// The score of the blank at a frame.
fn blank_score_at(bits: u32, g: u32, t: u32) -> vec4<f32> {
    return score_in_frame(vec4<u32>(bits), row_stats[t * params.tile_items + g].x);
}

// The scores of a quad's labels at a frame. A star has the score of a probability of 1.
fn label_scores(bits: vec4<u32>, g: u32, t: u32, star_quad: StarQuad) -> vec4<f32> {
    let stats = row_stats[t * params.tile_items + g];
    var x = select(vec4<f32>(IMPOSSIBLE_SCORE), score_in_frame(bits, stats.x), star_quad.quad.labels);
    if (any(star_quad.is_star)) {
        x = select(x, vec4<f32>(log_sum_score(stats)), star_quad.is_star);
    }
    return x;
}
