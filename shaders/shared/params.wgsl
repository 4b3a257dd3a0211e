// What one dispatch works on; twin of src/params.rs, compared field by field in a test.
struct Params {
    // the batch
    frames: u32,
    classes: u32,
    blank: u32,
    epsilon: f32,
    items: u32,
    label_stride: u32,
    // the group of items whose tables lie in the workspace now, and where its slice of an array over items begins
    tile_items: u32,
    item_base: u32,
    // labels that the tables have room for, min(Lmax, T), and quads of places
    label_capacity: u32,
    quads: u32,
    // the rectangle of frames first_frame.. (chunk_frames of them) × group; element of the input that is its first
    first_frame: u32,
    slice_frames: u32,
    input_base: u32,
    // rows of the input from an item to the next, and from a frame to the next
    item_rows: u32,
    frame_rows: u32,
    // steps first_step..end_step of a sweep; the page of the tables holds page_step..page_end
    first_step: u32,
    end_step: u32,
    segment_begin: u32,
    segment_end: u32,
    // where in the carry a sweep finds its states and leaves them; where it saves those that it starts from, if not 0;
    // rows of a sweep that does not hold them in registers
    carry_row: u32,
    checkpoint_row: u32,
    spill_row: u32,
    // the first item of the group in the batch; where its slice of padded labels, or of a path, begins; 1 in the first dispatch of
    // the stages that go on from group to group
    first_item: u32,
    label_base: u32,
    first_dispatch: u32,
    // where the slice of a second array that a stage writes begins
    second_base: u32,
    // to a multiple of 16 bytes, as GL wants it
    unused: u32,
    unused_too: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
