// The exchanges with the neighbouring lane of a subgroup, without workgroup memory or barriers.

// Lanes per subgroup. Subgroups consist of consecutive lanes. The recursion's workgroup is one
// subgroup, or in `sweep` several; see windows.wgsl.
override SUBGROUP: u32 = LANES;

// Each lane passes its edge state to the next lane (alpha) or to the previous one (beta).
fn exchange_with_neighbour(direction: u32, lane: u32, own: ScaledNumber) -> ScaledNumber {
    let alpha = direction == 0u;
    let neighbour = select(lane + 1u, lane - 1u, alpha) & (SUBGROUP - 1u);
    let m = subgroupShuffle(own.m, neighbour);
    let e = subgroupShuffle(own.e, neighbour);
    let has_no_neighbour = lane == select(LANES - 1u, 0u, alpha);
    return ScaledNumber(select(m, 1.0, has_no_neighbour), select(e, ZERO_STATE, has_no_neighbour));
}

// The edge states of two recursions: `own` in a direction, `other` in the opposite one.
struct BothEdges {
    own: ScaledNumber,
    other: ScaledNumber,
}

fn exchange_both(direction: u32, lane: u32, own: ScaledNumber, other: ScaledNumber) -> BothEdges {
    return BothEdges(
        exchange_with_neighbour(direction, lane, own),
        exchange_with_neighbour(1u - direction, lane, other),
    );
}
