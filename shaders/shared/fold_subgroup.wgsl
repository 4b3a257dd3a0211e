// The maximum and the sum over the lanes of a row by subgroup operations, in the order of
// fold_barrier.wgsl. The subgroups of a row exchange their results through workgroup memory.

// Lanes per subgroup. Subgroups consist of consecutive lanes. A row is a part of a subgroup, or at
// most SUBGROUP whole ones.
override SUBGROUP: u32 = 32u;
// Subgroups that exchange their results.
override PARTS: u32 = max(LANES / SUBGROUP, 1u);

// A named override, because naga 30 miscounts overrides that follow an array size that is an
// expression.
override CELLS: u32 = LANES * ROWS / SUBGROUP;

var<workgroup> sh_max: array<f32, CELLS>;
var<workgroup> sh_sums: array<vec2<f32>, CELLS>;

// The maximum and the sum of a lane and of the one at a distance of d, if d is below `width`.
fn max_at(value: f32, d: u32, width: u32) -> f32 {
    if (d < width) {
        return max(value, subgroupShuffleXor(value, d));
    }
    return value;
}

fn sum_at(value: vec2<f32>, d: u32, width: u32) -> vec2<f32> {
    if (d < width) {
        return value + subgroupShuffleXor(value, d);
    }
    return value;
}

// The results of `width` lanes, at most 128. Not loops, because compilers do not unroll the loops
// that naga guards against being endless.
fn max_within(value: f32, width: u32) -> f32 {
    var result = max_at(value, 1u, width);
    result = max_at(result, 2u, width);
    result = max_at(result, 4u, width);
    result = max_at(result, 8u, width);
    result = max_at(result, 16u, width);
    result = max_at(result, 32u, width);
    return max_at(result, 64u, width);
}

fn sum_within(value: vec2<f32>, width: u32) -> vec2<f32> {
    var result = sum_at(value, 1u, width);
    result = sum_at(result, 2u, width);
    result = sum_at(result, 4u, width);
    result = sum_at(result, 8u, width);
    result = sum_at(result, 16u, width);
    result = sum_at(result, 32u, width);
    return sum_at(result, 64u, width);
}

// All lanes of the row return the maximum.
fn fold_max(lane: u32, row: u32, value: f32) -> f32 {
    if (LANES < SUBGROUP) {
        return max_within(value, LANES);
    }
    var result = subgroupMax(value);
    if (PARTS > 1u) {
        if (lane % SUBGROUP == 0u) {
            sh_max[row * PARTS + lane / SUBGROUP] = result;
        }
        workgroupBarrier();
        result = max_within(sh_max[row * PARTS + lane % PARTS], PARTS);
        workgroupBarrier();
    }
    return result;
}

// All lanes of the row return the sum.
fn fold_sums(lane: u32, row: u32, value: vec2<f32>) -> vec2<f32> {
    var sum = sum_within(value, min(LANES, SUBGROUP));
    if (PARTS > 1u) {
        if (lane % SUBGROUP == 0u) {
            sh_sums[row * PARTS + lane / SUBGROUP] = sum;
        }
        workgroupBarrier();
        sum = sum_within(sh_sums[row * PARTS + lane % PARTS], PARTS);
    }
    return sum;
}
