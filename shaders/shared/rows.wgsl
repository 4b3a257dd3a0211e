// Which row of the input a lane works on. LANES lanes share a row, ROWS rows a workgroup.

override LANES: u32 = 32u;
override ROWS: u32 = 4u;

struct Row {
    inside: bool,
    g: u32,
    t: u32,
    first: u32,
}

// Whether neighbouring rows are neighbours in memory, or frames of one item, whose labels are the same.
const IN_MEMORY: bool = true;
const OF_ITEM: bool = false;

fn row_of(index: u32, order: bool) -> Row {
    // One division: it is dear.
    let by_frame = order == IN_MEMORY && params.item_rows == 1u;
    let width = select(params.chunk_frames, params.group, by_frame);
    let major = index / width;
    let minor = index - major * width;
    let g = select(major, minor, by_frame);
    let f = select(minor, major, by_frame);
    let inside = index < params.group * params.chunk_frames;
    let first = params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
    return Row(inside, g, params.first_frame + f, first);
}

// Four classes of a row, LANES apart, so that what neighbouring lanes read lies side by side.
fn classes_from(c: u32) -> vec4<u32> {
    return vec4<u32>(c, c + LANES, c + 2u * LANES, c + 3u * LANES);
}

// What stands there; the last class again where there is none.
fn entries(row: Row, classes: vec4<u32>) -> vec4<u32> {
    let at = row.first + min(classes, vec4<u32>(params.classes - 1u));
    return vec4<u32>(input_bits(at.x), input_bits(at.y), input_bits(at.z), input_bits(at.w));
}
