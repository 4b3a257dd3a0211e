// What passes from quad to quad, where the workgroup is one subgroup: no memory and no barrier.
fn passed(direction: u32, lane: u32, offered: Edge) -> Edge {
    let alpha = direction == 0u;
    let beside = select(lane + 1u, lane - 1u, alpha) & (LANES - 1u);
    let m = subgroupShuffle(offered.m, beside);
    let e = subgroupShuffle(offered.e, beside);
    let is_last = lane == select(LANES - 1u, 0u, alpha);
    return Edge(select(m, 1.0, is_last), select(e, ZERO, is_last));
}
