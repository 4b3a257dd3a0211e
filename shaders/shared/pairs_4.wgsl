// A group of four consecutive state pairs, one per component of a vector. A lane of `sweep` or
// `viterbi` holds one group. The other kernels compute with four pairs, frames or classes at once
// in the same types. pairs_1.wgsl and pairs_2.wgsl declare the same names for groups of one pair
// and of two.

const PAIRS: u32 = 4u;

alias Floats = vec4<f32>;
alias Ints = vec4<i32>;
alias Words = vec4<u32>;
alias Bools = vec4<bool>;

// a where the condition holds, else b. By component, because GLSL before 4.50 cannot select between
// vectors of integers.
fn select_ints(a: Ints, b: Ints, condition: Bools) -> Ints {
    return vec4<i32>(
        select(b.x, a.x, condition.x),
        select(b.y, a.y, condition.y),
        select(b.z, a.z, condition.z),
        select(b.w, a.w, condition.w),
    );
}

// The indices of the pairs of a group.
fn pair_indices(group: u32) -> Words {
    return 4u * group + vec4<u32>(0u, 1u, 2u, 3u);
}

// The words of PAIRS frames of a block, from frame `first` on.
fn frames_from(words: vec4<u32>, first: u32) -> Words {
    return words;
}

// For each pair the value of the pair before it; for the first one, `edge`.
fn values_before(edge: ScaledNumber, a: Scaled) -> Scaled {
    return Scaled(vec4<f32>(edge.m, a.m.xyz), vec4<i32>(edge.e, a.e.xyz));
}

// For each pair the value of the pair after it; for the last one, `edge`.
fn values_after(a: Scaled, edge: ScaledNumber) -> Scaled {
    return Scaled(vec4<f32>(a.m.yzw, edge.m), vec4<i32>(a.e.yzw, edge.e));
}

fn sum_of(values: Floats) -> f32 {
    return (values.x + values.y) + (values.z + values.w);
}

fn largest_of(values: Ints) -> i32 {
    return max(max(values.x, values.y), max(values.z, values.w));
}

// The lanes of a quad share the work of storing the sums over the quad's blanks at the four frames
// of a block: each lane stores the sums of PAIRS frames. Returns these sums; the first is that of
// frame PAIRS · (group % (4 / PAIRS)) of the block. `own` are the sums over the blanks of the
// lane's own group at the four frames.
fn quad_sums(group: u32, own: vec4<f32>) -> Floats {
    return own;
}
