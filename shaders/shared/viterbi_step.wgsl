// What both texts of `align` share: their tables, and the recursion over maxima on a quad of four places. Twin: src/decode/align.rs.

override LANES: u32 = 32u;
// Whether backpointers are kept, for `trace`.
override KEEP: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> gathered: array<u32>;
@group(0) @binding(6) var<storage, read_write> backpointers: array<u32>;
@group(0) @binding(7) var<storage, read_write> carry: array<vec4<f32>>;

// The score of the best path to each state of a quad.
struct Best {
    blank: Pair,
    label: Pair,
}

// That, and how each state was reached: for place p of the quad, bit 4p says that the blank came from the label before it, and the
// two bits from 4p + 1 on from how many states before the label came.
struct Step_ {
    best: Best,
    backpointers: u32,
}

// A quad whose columns can be read, and which of its labels are stars.
struct Starred {
    quad: Quad,
    stars: vec4<bool>,
}

fn starred_quad(g: u32, labels: u32, q: u32) -> Starred {
    var quad = quad_of(g, labels, q);
    let first = 4u * q;
    let classes = vec4<u32>(
        label_word(g, labels, first),
        label_word(g, labels, first + 1u),
        label_word(g, labels, first + 2u),
        label_word(g, labels, first + 3u),
    ) & vec4<u32>(~FLAG);
    if (!GATHERED) {
        quad.columns = min(classes, vec4<u32>(params.classes - 1u));
    }
    return Starred(quad, classes == vec4<u32>(params.classes));
}

// Before the first frame only the place in front of the first blank is possible.
fn first_best(q: u32) -> Best {
    let start = vec4<bool>(q == 0u, false, false, false);
    return Best(Pair(select(vec4<f32>(NEVER), vec4<f32>(0.0), start), vec4<f32>(0.0)), never());
}

// One frame. Of equals the state that stays wins over the one before, and that over the one before the blank.
fn best_step(from_: Best, edge: Edge, quad: Quad, blank: vec4<f32>, label: vec4<f32>) -> Step_ {
    let last = from_.label;
    let before_first = select(bitcast<f32>(edge.e), NEVER, quad.q == 0u);
    let before = Pair(vec4<f32>(before_first, last.hi.xyz), vec4<f32>(edge.m, last.lo.xyz));
    let came = better(before, from_.blank);
    let into_blank = pick(before, from_.blank, came);

    var stayed = last;
    if (DISTINCT) {
        stayed = never();
    }
    let near = better(from_.blank, stayed);
    let nearer = pick(from_.blank, stayed, near);
    let skip = pick(before, never(), quad.reached);
    let skipped = better(skip, nearer);
    let into_label = pick(skip, nearer, skipped);

    // A blank past the last label is never come to: no label is before it.
    let how = vec4<u32>(came) | (vec4<u32>(near & !skipped) << vec4<u32>(1u)) | (vec4<u32>(skipped) << vec4<u32>(2u));
    let at = how << vec4<u32>(0u, 4u, 8u, 12u);
    return Step_(Best(pair_plus(into_blank, blank), pair_plus(into_label, label)), at.x | at.y | at.z | at.w);
}

// What the last label of a quad passes to the next.
fn offered(best: Best) -> Edge {
    return Edge(best.label.lo.w, bitcast<i32>(best.label.hi.w));
}

fn there(q: u32) -> u32 {
    return min(q, params.quads - 1u);
}

fn carried(slot: u32, g: u32, q: u32) -> Best {
    let at = carry_part(slot, 0u, g, 0u) + there(q);
    let part = params.quads;
    return Best(Pair(carry[at], carry[at + part]), Pair(carry[at + 2u * part], carry[at + 3u * part]));
}

fn carry_on(slot: u32, g: u32, q: u32, best: Best) {
    if (q >= params.quads) {
        return;
    }
    let at = carry_part(slot, 0u, g, 0u) + q;
    let part = params.quads;
    carry[at] = best.blank.hi;
    carry[at + part] = best.blank.lo;
    carry[at + 2u * part] = best.label.hi;
    carry[at + 3u * part] = best.label.lo;
}

// A frame's score of the blank.
fn blank_score(bits: u32, g: u32, t: u32) -> vec4<f32> {
    return score_below(vec4<u32>(bits), row_stats[t * params.tile_items + g].x);
}

// A frame's scores of the labels of a quad.
fn label_scores(bits: vec4<u32>, g: u32, t: u32, starred: Starred) -> vec4<f32> {
    let stats = row_stats[t * params.tile_items + g];
    var x = select(vec4<f32>(NEVER), score_below(bits, stats.x), starred.quad.labels);
    if (any(starred.stars)) {
        x = select(x, vec4<f32>(score_of_all(stats)), starred.stars);
    }
    return x;
}
