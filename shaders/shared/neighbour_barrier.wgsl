// The neighbour exchange through workgroup memory: each lane passes its edge state to the next lane
// (alpha) or to the previous one (beta). The memory is double-buffered, so one barrier per step is
// enough.
override TWO_LANES: u32 = 2u * LANES;

var<workgroup> sh_edge: array<vec2<i32>, TWO_LANES>;
var<private> buffer_start: u32 = 0u;

fn exchange_with_neighbour(direction: u32, lane: u32, own: ScaledNumber) -> ScaledNumber {
    sh_edge[buffer_start + lane] = vec2<i32>(bitcast<i32>(own.m), own.e);
    workgroupBarrier();
    let alpha = direction == 0u;
    let neighbour = select(min(lane + 1u, LANES - 1u), max(lane, 1u) - 1u, alpha);
    let received = sh_edge[buffer_start + neighbour];
    buffer_start = LANES - buffer_start;
    let has_no_neighbour = lane == select(LANES - 1u, 0u, alpha);
    return ScaledNumber(
        select(bitcast<f32>(received.x), 1.0, has_no_neighbour),
        select(received.y, ZERO_EXPONENT, has_no_neighbour),
    );
}
