// A group of one state pair. See pairs_4.wgsl.

const PAIRS: u32 = 1u;

alias Floats = f32;
alias Ints = i32;
alias Words = u32;
alias Bools = bool;

fn any_of(condition: Bools) -> bool {
    return condition;
}

fn select_ints(a: Ints, b: Ints, condition: Bools) -> Ints {
    return select(b, a, condition);
}

fn pair_indices(group: u32) -> Words {
    return group;
}

fn first_pair(a: Scaled) -> ScaledNumber {
    return ScaledNumber(a.m, a.e);
}

fn last_pair(a: Scaled) -> ScaledNumber {
    return ScaledNumber(a.m, a.e);
}

fn values_before(edge: ScaledNumber, a: Scaled) -> Scaled {
    return Scaled(edge.m, edge.e);
}

fn values_after(a: Scaled, edge: ScaledNumber) -> Scaled {
    return Scaled(edge.m, edge.e);
}

fn sum_of(value: Floats) -> f32 {
    return value;
}

fn component(value: Words, i: u32) -> u32 {
    return value;
}

fn with_component(old: Words, i: u32, value: u32) -> Words {
    return value;
}

struct BlockSums {
    blanks: vec4<f32>,
    labels: vec4<f32>,
}

struct QuadSums {
    blanks: Floats,
    labels: Floats,
}

// The four lanes of a quad exchange sums in two rounds: first those of two frames with the lane
// beside, then those of one frame with the lane two away. The order of the additions is that of
// `sum_of` for four pairs.
fn quad_sums(group: u32, own: BlockSums) -> QuadSums {
    let even = vec4<f32>(own.blanks.xz, own.labels.xz);
    let odd = vec4<f32>(own.blanks.yw, own.labels.yw);
    let is_odd = vec4<bool>((group & 1u) != 0u);
    let two = select(even, odd, is_odd) + swapped_with(group, 1u, select(odd, even, is_odd));
    let first = vec4<f32>(two.x, two.z, 0.0, 0.0);
    let second = vec4<f32>(two.y, two.w, 0.0, 0.0);
    let is_second = vec4<bool>((group & 2u) != 0u);
    let sums = select(first, second, is_second)
        + swapped_with(group, 2u, select(second, first, is_second));
    return QuadSums(sums.x, sums.y);
}
