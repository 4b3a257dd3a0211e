// What passes from quad to quad, through workgroup memory: doubled, so that one barrier a step is enough.
override TWO_LANES: u32 = 2u * LANES;

var<workgroup> sh_edge: array<vec2<i32>, TWO_LANES>;
var<private> turn: u32 = 0u;

fn passed(direction: u32, lane: u32, offered: Edge) -> Edge {
    sh_edge[turn + lane] = vec2<i32>(bitcast<i32>(offered.m), offered.e);
    workgroupBarrier();
    let alpha = direction == 0u;
    let beside = select(min(lane + 1u, LANES - 1u), max(lane, 1u) - 1u, alpha);
    let v = sh_edge[turn + beside];
    turn = LANES - turn;
    let is_last = lane == select(LANES - 1u, 0u, alpha);
    return Edge(select(bitcast<f32>(v.x), 1.0, is_last), select(v.y, ZERO, is_last));
}
