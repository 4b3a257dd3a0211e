// A group of two consecutive state pairs, one per component of a vector. pairs_4.wgsl describes the
// functions.

const PAIRS: u32 = 2u;

alias Floats = vec2<f32>;
alias Ints = vec2<i32>;
alias Words = vec2<u32>;
alias Bools = vec2<bool>;

fn select_ints(a: Ints, b: Ints, condition: Bools) -> Ints {
    return vec2<i32>(select(b.x, a.x, condition.x), select(b.y, a.y, condition.y));
}

fn pair_indices(group: u32) -> Words {
    return 2u * group + vec2<u32>(0u, 1u);
}

fn frames_from(words: vec4<u32>, first: u32) -> Words {
    return vec2<u32>(words[first], words[first + 1u]);
}

fn values_before(edge: ScaledNumber, a: Scaled) -> Scaled {
    return Scaled(vec2<f32>(edge.m, a.m.x), vec2<i32>(edge.e, a.e.x));
}

fn values_after(a: Scaled, edge: ScaledNumber) -> Scaled {
    return Scaled(vec2<f32>(a.m.y, edge.m), vec2<i32>(a.e.y, edge.e));
}

fn sum_of(values: Floats) -> f32 {
    return values.x + values.y;
}

fn largest_of(values: Ints) -> i32 {
    return max(values.x, values.y);
}

// The two lanes of a quad exchange the sums of two frames each. The order of the additions is that
// of `sum_of` for four pairs.
fn quad_sums(group: u32, own: vec4<f32>) -> Floats {
    let is_second = vec2<bool>((group & 1u) != 0u);
    let kept = select(own.xy, own.zw, is_second);
    return kept + swapped_with(group, 1u, select(own.zw, own.xy, is_second));
}
