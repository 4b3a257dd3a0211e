// Copies words of 16 bytes, one per invocation.

@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<u32>>;

@compute @workgroup_size(256)
fn copy(
    @builtin(global_invocation_id) invocation: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation.y * workgroups.x * 256u + invocation.x;
    if (index < arrayLength(&destination)) {
        destination[index] = source[index];
    }
}
