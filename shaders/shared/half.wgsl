// An f16 as the bits of an f32. Infinities and NaN are converted by their bits, because WGSL does
// not guarantee that arithmetic preserves them.
fn widened(value: f16) -> u32 {
    let bits = pack2x16float(vec2<f32>(f32(value), 0.0));
    if ((bits & 0x7c00u) != 0x7c00u) {
        return bitcast<u32>(f32(value));
    }
    return ((bits & 0x8000u) << 16u) | 0x7f800000u | ((bits & 0x03ffu) << 13u);
}
