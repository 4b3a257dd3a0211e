// The vectors of four classes in which lanes read a row of the input: adjacent ones, by one load. A
// row consists of whole vectors, since the number of classes is a multiple of 4.

// The first class of vector k of a lane.
fn first_class(lane: u32, k: u32) -> u32 {
    return 4u * (lane + k * LANES);
}

fn vector_classes(lane: u32, k: u32) -> vec4<u32> {
    return first_class(lane, k) + vec4<u32>(0u, 1u, 2u, 3u);
}

fn exist(classes: vec4<u32>) -> vec4<bool> {
    return vec4<bool>(classes.x < params.classes);
}

// The bits of the entries of a vector in the row that begins at `first`. A vector past the last
// one, of which there is none if `all_exist` is true, has the entries of the last one.
fn vector_bits(first: u32, lane: u32, k: u32, all_exist: bool) -> vec4<u32> {
    var index = lane + k * LANES;
    if (!all_exist) {
        index = min(index, params.classes / 4u - 1u);
    }
    return input_vector(first / 4u + index);
}
