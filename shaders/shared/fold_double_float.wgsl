// The sum over a workgroup's lanes of numbers with twice the digits, always in the same order.

override LANES: u32 = 32u;

var<workgroup> sh_sum: array<vec2<f32>, LANES>;

// For the first lane.
fn pair_total(lane: u32, own: Pair) -> f32 {
    var sum = own;
    sh_sum[lane] = vec2<f32>(sum.hi.x, sum.lo.x);
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            let other = sh_sum[lane + d];
            sum = pair_plus(pair_plus(sum, vec4<f32>(other.x)), vec4<f32>(other.y));
            sh_sum[lane] = vec2<f32>(sum.hi.x, sum.lo.x);
        }
        workgroupBarrier();
    }
    return sum.hi.x + sum.lo.x;
}
