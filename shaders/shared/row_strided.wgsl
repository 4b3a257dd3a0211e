// The vectors of four classes in which lanes read a row of the input: LANES apart, so that
// neighbouring lanes read neighbouring elements.

// The first class of vector k of a lane.
fn first_class(lane: u32, k: u32) -> u32 {
    return lane + 4u * k * LANES;
}

fn vector_classes(lane: u32, k: u32) -> vec4<u32> {
    let c = first_class(lane, k);
    return vec4<u32>(c, c + LANES, c + 2u * LANES, c + 3u * LANES);
}

fn exist(classes: vec4<u32>) -> vec4<bool> {
    return classes < vec4<u32>(params.classes);
}

// The bits of the entries of a vector in the row that begins at `first`. Classes past the last one,
// of which there are none if `all_exist` is true, have the entry of the last one.
fn vector_bits(first: u32, lane: u32, k: u32, all_exist: bool) -> vec4<u32> {
    var classes = vector_classes(lane, k);
    if (!all_exist) {
        classes = min(classes, vec4<u32>(params.classes - 1u));
    }
    let at = first + classes;
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}
