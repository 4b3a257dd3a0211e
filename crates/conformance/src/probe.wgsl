// probe: evaluates one operation, selected by OPERATION. One invocation per row of operands.

override OPERATION: u32 = 0u;

@group(0) @binding(0) var<storage, read> operands: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;

// Returns the rounding error of x - y (Knuth's two-sum), without the `held` of shared/scaled.wgsl.
// It is 0 if a compiler simplifies the expression as algebra.
fn rounding_error(x: f32, y: f32) -> f32 {
    let d = 2.0 * max(0.5 * x - 0.5 * y, -1.0e37);
    let back = d - x;
    return (x - (d - back)) - (y + back);
}

// Returns the maximum over a loop in which each term subtracts the same y from x. If a compiler
// moves the subtraction behind the addition of z, small z are lost.
fn loop_maximum(v: vec4<f32>, iterations: u32) -> f32 {
    var most = -1.0e30;
    for (var i = 0u; i < iterations; i++) {
        most = max(most, (v.x - v.y) + v.z);
    }
    return most;
}

fn result(v: vec4<f32>) -> f32 {
    switch OPERATION {
        case 0u: { return exp2(v.x); }
        case 1u: { return log2(v.x); }
        case 2u: { return exp(v.x); }
        case 3u: { return log(v.x); }
        case 4u: { return v.x / v.y; }
        case 5u: { return sqrt(v.x); }
        case 6u: { return fma(v.x, v.y, v.z); }
        case 7u: { return v.x * v.y + v.z; }
        case 8u: { return rounding_error(v.x, v.y); }
        case 9u: { return loop_maximum(v, u32(v.w)); }
        case 10u: { return fma(-v.x, -2.12194440e-4, fma(-v.x, 0.693359375, v.y)); }
        case 11u: { return v.x * v.y; }
        default: { return v.x + v.y; }
    }
}

@compute @workgroup_size(64)
fn probe(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < arrayLength(&results)) {
        results[id.x] = bitcast<u32>(result(operands[id.x]));
    }
}
