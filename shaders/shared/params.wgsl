// The parameters of one dispatch. Must match src/params.rs; a test compares the fields.
struct Params {
    // The batch. `label_stride` is the row length of padded labels.
    frames: u32,
    classes: u32,
    blank: u32,
    epsilon: f32,
    items: u32,
    label_stride: u32,
    // The tile of items that is in the workspace, and where its first item begins in the bound part
    // of an array over items.
    tile_items: u32,
    item_base: u32,
    // The labels per item in the workspace, min(Lmax, T), and the quads per row of states.
    label_capacity: u32,
    quads: u32,
    // The input slice: `slice_frames` frames from `first_frame` on, of every item of the tile, and
    // the index of its first row's first element in the binding.
    first_frame: u32,
    slice_frames: u32,
    input_base: u32,
    // Rows of the input from one item to the next, and from one frame to the next.
    item_rows: u32,
    frame_rows: u32,
    // The steps first_step..end_step of a sweep. The workspace holds those of the checkpoint
    // segment segment_begin..segment_end.
    first_step: u32,
    end_step: u32,
    segment_begin: u32,
    segment_end: u32,
    // Rows of the carry: where a sweep loads and stores its states; where it saves its first states
    // as a checkpoint, unless 0; and the first row for states that do not fit in registers.
    carry_row: u32,
    checkpoint_row: u32,
    spill_row: u32,
    // The index of the tile's first item in the batch. The start of the tile's padded labels, or
    // paths. Whether this is the first dispatch of a kernel that continues from tile to tile (1) or
    // not (0).
    first_item: u32,
    label_base: u32,
    first_dispatch: u32,
    // The start of the tile in the second array that a kernel writes.
    second_base: u32,
    // Padding to a multiple of 16 bytes, as GL requires. Always 0.
    unused: u32,
    unused_too: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
