// The sum of double-floats over the lanes of a workgroup, always in the same order.

override LANES: u32 = 32u;

var<workgroup> sh_sum: array<vec2<f32>, LANES>;

// The first lane returns the sum.
fn double_total(lane: u32, own: DoubleFloat) -> f32 {
    var sum = own;
    sh_sum[lane] = vec2<f32>(sum.high.x, sum.low.x);
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            let other = sh_sum[lane + d];
            sum = double_plus(double_plus(sum, vec4<f32>(other.x)), vec4<f32>(other.y));
            sh_sum[lane] = vec2<f32>(sum.high.x, sum.low.x);
        }
        workgroupBarrier();
    }
    return sum.high.x + sum.low.x;
}
