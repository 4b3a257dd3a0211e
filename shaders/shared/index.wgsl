// Constants, and the layouts of the arrays that several kernels index.
//
// The workspace holds one tile of items, and g is an item's index in the tile. The headers of the
// kernels use these symbols: N and G are the number of items of the batch and of the tile, T that
// of frames, C that of classes, L that of labels of an item, and Lmax the row length of padded
// labels. These arrays are row-major: items, item_status, final_status and backtrace_states [G];
// label_table and next_label [G, label_capacity]; first_of_class [G, C], after which the first
// labels [G, label_capacity] may follow; row_stats [T, G]; states [G, T]. The functions below index
// the other arrays, except `totals`, which batch_totals.wgsl describes.
//
// Variables whose names begin with `sh_` are in workgroup memory.

// The status of an item. Must match `Status` in src/options.rs.
const OK: u32 = 0u;
const IMPOSSIBLE: u32 = 1u;
const NOT_FINITE: u32 = 2u;
const BAD_LABEL: u32 = 3u;
const BAD_LENGTH: u32 = 4u;

// The word of a label in `label_table` is its class; TOP_BIT is set if the skip from the label
// before it is allowed. Its word in `next_label` is the index of the next label of the same class,
// or the item's number of labels if it is the last one; TOP_BIT is set if that label is followed by
// another one of the class. A word of `first_of_class` is like the one in `next_label`, with the
// index of the first label of the class.
const TOP_BIT: u32 = 0x80000000u;
// The word in `first_of_class` of a class without labels.
const NO_LABEL: u32 = 0x7fffffffu;

// The start of an item in the first labels, which are in the array `first_of_class` after the words
// of the classes. The word of a label is its class, if it is the first label of that class and the
// class is not the blank; TOP_BIT is set if another label of the class follows. Otherwise, the word
// is NO_LABEL.
fn first_label_of_item(g: u32) -> u32 {
    return params.tile_items * params.classes + g * params.label_capacity;
}

// Frames per block. The sweeps store one row of states per block; see sweep.wgsl.
const BLOCK: u32 = 4u;

// An item: the number of its valid frames and of its labels, the factor of its loss and gradient,
// and 1 if the sweeps process it, else 0. The sweeps skip an item if its lengths, labels or weight
// are invalid, or if it has more labels than frames.
struct Item {
    frames: u32,
    labels: u32,
    scale: f32,
    sweeps: u32,
}

// A direction and a step. Alpha (direction 0) processes the first half of the frames from the
// start, beta (direction 1) the other half from the end. Step k, counted from 0, is the k-th frame
// of the direction. The gathered entries, the emission table and the lattice are ordered by step.
// Thus the data of both directions at one step is adjacent in memory, and a range of steps is a
// range of the array, whatever the items' lengths.
struct Step {
    direction: u32,
    k: u32,
}

// 2 for the loss. Alignment and greedy decoding have one direction, in which step k is frame k.
override DIRECTIONS: u32 = 2u;

// The number of steps of a direction.
fn steps_of(direction: u32, frames: u32) -> u32 {
    if (DIRECTIONS == 1u) {
        return frames;
    }
    let half = frames / 2u;
    return select(frames - half, half, direction == 0u);
}

// The direction that reaches frame t before the middle, and its step.
fn step_of(t: u32, frames: u32) -> Step {
    if (t < steps_of(0u, frames)) {
        return Step(0u, t);
    }
    return Step(1u, frames - 1u - t);
}

// The frame at step k of a direction.
fn frame_of(direction: u32, k: u32, frames: u32) -> u32 {
    return select(frames - 1u - k, k, direction == 0u);
}

// The index of the first entry of frame f of the input slice in the binding of the input.
fn first_of_frame(g: u32, f: u32) -> u32 {
    return params.input_base + (g * params.item_rows + f * params.frame_rows) * params.classes;
}

// The start of row (step, direction, item) of the gathered entries.
fn gathered_row(k: u32, direction: u32, g: u32) -> u32 {
    return (((k - params.segment_begin) * DIRECTIONS + direction) * params.tile_items + g)
        * (params.label_capacity + 1u);
}

// The start of row (block of step k, direction, item) of the emission table, in vectors of four
// words. The table is in the array `gathered`, like the gathered entries, since no plan has both. A
// row has one vector per column, with one component per frame of the block. The columns are the
// classes, or the blank and then the labels.
fn table_row(k: u32, direction: u32, g: u32, of_classes: bool) -> u32 {
    let columns = select(params.label_capacity + 1u, params.classes, of_classes);
    let block = (k - params.segment_begin) / BLOCK;
    return ((block * 2u + direction) * params.tile_items + g) * columns;
}

// The start of part (block of step k, direction, item, part) of the lattice. A part has a vector of
// four words per quad. After the inward sweep, parts 0 to 3 are a row of states: the mantissas and
// exponents of the blanks, then those of the labels. After the outward sweep, parts 0 to 3 are the
// weights of the labels at the four frames of the block, and part 4 is the sum of the weights of
// the quad's blanks, with one component per frame.
const LATTICE_PARTS: u32 = 5u;

fn lattice_part(k: u32, direction: u32, g: u32, part: u32) -> u32 {
    let block = (k - params.segment_begin) / BLOCK;
    return (((block * 2u + direction) * params.tile_items + g) * LATTICE_PARTS + part) * params.quads;
}

// The start of part (row, direction, item, part) of the carry, whose rows are rows of states. The
// references of the outward sweep follow the last row.
fn carry_part(row: u32, direction: u32, g: u32, part: u32) -> u32 {
    return (((row * DIRECTIONS + direction) * params.tile_items + g) * 4u + part) * params.quads;
}

// The start of the row (eight steps, item) of step k of the backpointers, in vectors of four words.
// A row has one word per pair: four bits per step, the first step in the lowest ones.
const STEPS_PER_WORD: u32 = 8u;

fn backpointer_row(k: u32, g: u32) -> u32 {
    return ((k - params.segment_begin) / STEPS_PER_WORD * params.tile_items + g) * params.quads;
}

// The position of the bits of step k in a word of the backpointers.
fn backpointer_shift(k: u32) -> u32 {
    return (k - params.segment_begin) % STEPS_PER_WORD * 4u;
}

// The groups per quad. A row of states has whole quads, whatever PAIRS is.
const GROUPS_PER_QUAD: u32 = 4u / PAIRS;

// The number of groups per row of states.
fn row_groups() -> u32 {
    return params.quads * GROUPS_PER_QUAD;
}

// The linear index of a workgroup in a grid that continues in y if x reaches the device's limit.
fn workgroup_index(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
