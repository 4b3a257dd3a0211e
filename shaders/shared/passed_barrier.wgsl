// What passes from quad to quad, through workgroup memory: doubled, so that one barrier a step is enough.
override TWO_LANES: u32 = 2u * LANES;

var<workgroup> sh_edge: array<vec2<f32>, TWO_LANES>;
var<private> turn: u32 = 0u;

fn passed(direction: u32, lane: u32, offered: Edge) -> Edge {
    sh_edge[turn + lane] = vec2<f32>(offered.m, offered.e);
    workgroupBarrier();
    let alpha = direction == 0u;
    let beside = select(min(lane + 1u, LANES - 1u), max(lane, 1u) - 1u, alpha);
    let v = sh_edge[turn + beside];
    turn = LANES - turn;
    let is_last = lane == select(LANES - 1u, 0u, alpha);
    return Edge(select(v.x, 1.0, is_last), select(v.y, ZERO, is_last));
}

var<workgroup> sh_top: array<f32, LANES>;

// The largest value of all lanes.
fn highest(lane: u32, value: f32) -> f32 {
    sh_top[lane] = value;
    workgroupBarrier();
    var left = LANES;
    while (left > 1u) {
        let middle = (left + 1u) / 2u;
        if (lane + middle < left) {
            sh_top[lane] = max(sh_top[lane], sh_top[lane + middle]);
        }
        left = middle;
        workgroupBarrier();
    }
    let top = sh_top[0];
    workgroupBarrier();
    return top;
}
