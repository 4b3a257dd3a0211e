// Loads the input of a quad one block of frames ahead, so that the loads overlap with the
// computation of the block before, and turns it into emissions.

// The entries of a quad in a block of four frames. `a`, `b`, `c` and `d` are those of the labels at
// the first to the fourth frame. `blanks` and `row_max`, the entries of the blank and the frames'
// maxima, have one component per frame.
struct BlockEntries {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
    blanks: vec4<u32>,
    row_max: vec4<f32>,
}

// The emissions of a block, relative to the most probable class of each frame, whose emission is
// exactly 1. `join` divides by the sums of the frames, which are in `row_stats`. Thus a frame whose
// most probable class has a probability near 1 causes no rounding, and small losses keep their
// digits.
struct Emissions {
    a: Scaled,
    b: Scaled,
    c: Scaled,
    d: Scaled,
    blanks: Scaled,
}

// The bits of the entry in a column of the row that begins at `first`.
fn entry(first: u32, column: u32) -> u32 {
    if (READ_GATHERED) {
        return gathered[first + column];
    }
    return input_bits(first + column);
}

fn entries_of(first: u32, columns: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        entry(first, columns.x),
        entry(first, columns.y),
        entry(first, columns.z),
        entry(first, columns.w),
    );
}

// The index of the first entry of a step, in the gathered entries or in the binding of the input.
fn first_entry(g: u32, direction: u32, k: u32, frames: u32) -> u32 {
    if (READ_GATHERED) {
        return gathered_row(k, direction, g);
    }
    return params.input_base
        + (g * params.item_rows + frame_of(direction, k, frames) * params.frame_rows) * params.classes;
}

// The maximum of the frame at step k.
fn row_max_of(g: u32, direction: u32, k: u32, frames: u32) -> f32 {
    return row_stats[frame_of(direction, k, frames) * params.tile_items + g].x;
}

// Loads the block of a direction that begins at step k. Steps past the last one read the last one
// again.
fn load_block(g: u32, direction: u32, k: u32, item: Item, quad: Quad) -> BlockEntries {
    let last = steps_of(direction, item.frames) - 1u;
    let k0 = min(k, last);
    let k1 = min(k + 1u, last);
    let k2 = min(k + 2u, last);
    let k3 = min(k + 3u, last);
    let first = vec4<u32>(
        first_entry(g, direction, k0, item.frames),
        first_entry(g, direction, k1, item.frames),
        first_entry(g, direction, k2, item.frames),
        first_entry(g, direction, k3, item.frames),
    );
    let row_max = vec4<f32>(
        row_max_of(g, direction, k0, item.frames),
        row_max_of(g, direction, k1, item.frames),
        row_max_of(g, direction, k2, item.frames),
        row_max_of(g, direction, k3, item.frames),
    );
    let blank = select(params.blank, 0u, READ_GATHERED);
    return BlockEntries(
        entries_of(first.x, quad.columns),
        entries_of(first.y, quad.columns),
        entries_of(first.z, quad.columns),
        entries_of(first.w, quad.columns),
        vec4<u32>(
            entry(first.x, blank),
            entry(first.y, blank),
            entry(first.z, blank),
            entry(first.w, blank),
        ),
        row_max,
    );
}

// The emissions of four entries, relative to `row_max`; 0 where `exists` is false.
fn emission(bits: vec4<u32>, row_max: vec4<f32>, exists: vec4<bool>) -> Scaled {
    let is_valid = finite(bits) & exists;
    let x = bitcast<vec4<f32>>(bits_where(bits, is_valid));
    if (INPUT == PROBS) {
        let y = add_epsilon(x);
        let is_positive = is_valid & (y >= vec4<f32>(MIN_PROB));
        let scaled = ratio(max(y, vec4<f32>(MIN_PROB)), row_max);
        return select_scaled(scaled, scaled_zero(), is_positive);
    }
    return select_scaled(
        exp_minus_max(x, row_max),
        scaled_zero(),
        is_valid & (relative_log_prob(x, row_max) > vec4<f32>(-MAX_NATS)),
    );
}

fn block_emissions(block: BlockEntries, quad: Quad) -> Emissions {
    return Emissions(
        emission(block.a, vec4<f32>(block.row_max.x), quad.labels),
        emission(block.b, vec4<f32>(block.row_max.y), quad.labels),
        emission(block.c, vec4<f32>(block.row_max.z), quad.labels),
        emission(block.d, vec4<f32>(block.row_max.w), quad.labels),
        emission(block.blanks, block.row_max, vec4<bool>(true)),
    );
}

// The emissions of one frame for the blanks and labels of the quad.
fn frame_emissions(label: Scaled, blank_m: f32, blank_e: i32, quad: Quad) -> States {
    let blank = Scaled(vec4<f32>(blank_m), vec4<i32>(blank_e));
    return States(select_scaled(blank, scaled_zero(), quad.blanks), label);
}

// The emissions of a single step, for kernels that load no blocks.
fn step_emissions(g: u32, direction: u32, k: u32, item: Item, quad: Quad) -> States {
    let first = first_entry(g, direction, k, item.frames);
    let row_max = vec4<f32>(row_max_of(g, direction, k, item.frames));
    let blank = emission(
        vec4<u32>(entry(first, select(params.blank, 0u, READ_GATHERED))),
        row_max,
        vec4<bool>(true),
    );
    let label = emission(entries_of(first, quad.columns), row_max, quad.labels);
    return frame_emissions(label, blank.m.x, blank.e.x, quad);
}
