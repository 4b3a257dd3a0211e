// A group of one state pair. pairs_4.wgsl describes the functions.

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

fn pair_of(a: Scaled, i: u32) -> ScaledNumber {
    return ScaledNumber(a.m, a.e);
}

fn frames_from(words: vec4<u32>, first: u32) -> Words {
    return words[first];
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

fn largest_of(value: Ints) -> i32 {
    return value;
}

fn component(value: Words, i: u32) -> u32 {
    return value;
}

fn with_component(old: Words, i: u32, value: u32) -> Words {
    return value;
}

// The four lanes of a quad exchange sums in two rounds: first those of two frames with the adjacent
// lane, then those of one frame with the lane two away. The order of the additions is that of
// `sum_of` for four pairs.
fn quad_sums(group: u32, own: vec4<f32>) -> Floats {
    let is_odd = vec2<bool>((group & 1u) != 0u);
    let two = select(own.xz, own.yw, is_odd) + swapped_with(group, 1u, select(own.yw, own.xz, is_odd));
    let is_second = (group & 2u) != 0u;
    let sent = vec2<f32>(select(two.y, two.x, is_second), 0.0);
    return select(two.x, two.y, is_second) + swapped_with(group, 2u, sent).x;
}
