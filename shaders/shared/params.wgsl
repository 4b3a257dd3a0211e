// The parameters of one dispatch. Must match src/params.rs; a test compares the fields.
struct Params {
    // The batch. `label_stride` is Lmax: the row length of padded labels, and the maximum number of
    // labels per item.
    frames: u32,
    classes: u32,
    blank: u32,
    epsilon: f32,
    items: u32,
    label_stride: u32,
    // The number of items of the tile in the workspace, and the tile's start in the binding of an
    // array with one element per item. For `spans`, it is the start in `label_spans`.
    tile_items: u32,
    item_base: u32,
    // The maximum number of labels of an item in the workspace, min(Lmax, T), and the number of
    // quads per row of states.
    label_capacity: u32,
    quads: u32,
    // The input slice: `slice_frames` frames from `first_frame` on, of every item of the tile, and
    // the index of its first element in the binding.
    first_frame: u32,
    slice_frames: u32,
    input_base: u32,
    // The number of rows of the input from one item to the next, and from one frame to the next.
    item_rows: u32,
    frame_rows: u32,
    // The dispatch range of a sweep: the steps first_step..end_step. The workspace holds the states
    // of the segment, which are the steps segment_begin..segment_end.
    first_step: u32,
    end_step: u32,
    segment_begin: u32,
    segment_end: u32,
    // Rows of the carry: the row from which a sweep loads its first states and to which it stores
    // its last ones; the row for a checkpoint of the first states, or 0 for none; and the first
    // spill row.
    carry_row: u32,
    checkpoint_row: u32,
    spill_row: u32,
    // The index of the tile's first item in the batch.
    first_item: u32,
    // The start of the tile in the binding of an array with one row of labels or of frames per
    // item: padded labels, paths or hypotheses.
    label_base: u32,
    // 1 for the first dispatch of `batch_totals` or `reduce`, else 0. Each later dispatch continues
    // from the results of the one before.
    first_dispatch: u32,
    // The start of the tile in the binding of one more such array, with rows of another length:
    // `probabilities` of `spans`, `hypothesis_frames` of `collapse`.
    second_base: u32,
    // Padding to a multiple of 16 bytes, as GL requires. Always 0.
    unused: u32,
    unused_too: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
