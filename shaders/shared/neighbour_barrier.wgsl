// The exchanges with the neighbouring lane through workgroup memory. The memory is double-buffered,
// so one barrier per exchange is enough.
override TWO_LANES: u32 = 2u * LANES;

// The edge states of the lanes, and those of a second recursion in the opposite direction, each
// twice.
var<workgroup> sh_edge: array<vec2<i32>, TWO_LANES>;
var<workgroup> sh_other_edge: array<vec2<i32>, TWO_LANES>;
var<private> buffer_start: u32 = 0u;

// The lane from which a lane receives, clamped to an existing one.
fn neighbour_of(direction: u32, lane: u32) -> u32 {
    return select(min(lane + 1u, LANES - 1u), max(lane, 1u) - 1u, direction == 0u);
}

// The received edge state, or 0 in the lane that has no neighbour.
fn received_edge(direction: u32, lane: u32, words: vec2<i32>) -> ScaledNumber {
    let has_no_neighbour = lane == select(LANES - 1u, 0u, direction == 0u);
    return ScaledNumber(
        select(bitcast<f32>(words.x), 1.0, has_no_neighbour),
        select(words.y, ZERO_STATE, has_no_neighbour),
    );
}

// Each lane passes its edge state to the next lane (alpha) or to the previous one (beta).
fn exchange_with_neighbour(direction: u32, lane: u32, own: ScaledNumber) -> ScaledNumber {
    sh_edge[buffer_start + lane] = vec2<i32>(bitcast<i32>(own.m), own.e);
    workgroupBarrier();
    let words = sh_edge[buffer_start + neighbour_of(direction, lane)];
    buffer_start = LANES - buffer_start;
    return received_edge(direction, lane, words);
}

// The edge states of two recursions: `own` in a direction, `other` in the opposite one.
struct BothEdges {
    own: ScaledNumber,
    other: ScaledNumber,
}

fn exchange_both(direction: u32, lane: u32, own: ScaledNumber, other: ScaledNumber) -> BothEdges {
    sh_edge[buffer_start + lane] = vec2<i32>(bitcast<i32>(own.m), own.e);
    sh_other_edge[buffer_start + lane] = vec2<i32>(bitcast<i32>(other.m), other.e);
    workgroupBarrier();
    let own_words = sh_edge[buffer_start + neighbour_of(direction, lane)];
    let other_words = sh_other_edge[buffer_start + neighbour_of(1u - direction, lane)];
    buffer_start = LANES - buffer_start;
    return BothEdges(
        received_edge(direction, lane, own_words),
        received_edge(1u - direction, lane, other_words),
    );
}
