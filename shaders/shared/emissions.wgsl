// Loads the entries of a group one block of frames ahead, so that the loads overlap with the
// computation of the block before, and computes the emissions from them. emission_table.wgsl reads
// computed emissions instead.

// The entries of a group in a block of four frames. `a`, `b`, `c` and `d` are those of the labels
// at the first to the fourth frame. `blanks` and `row_max`, the entries of the blank and the
// frames' maxima, have one component per frame.
struct BlockEntries {
    a: Words,
    b: Words,
    c: Words,
    d: Words,
    blanks: vec4<u32>,
    row_max: vec4<f32>,
}

// True if the input is read from the gathered entries.
override READ_GATHERED: bool = false;

@group(0) @binding(5) var<storage, read> gathered: array<u32>;

// The columns of a group's labels in the input or in the gathered entries.
fn columns_of(group: Group, labels: u32) -> Words {
    if (READ_GATHERED) {
        return min(pair_indices(group.index) + 1u, Words(labels));
    }
    return group.classes;
}

// The bits of the entry in a column of the row that begins at `first`.
fn entry(first: u32, column: u32) -> u32 {
    if (READ_GATHERED) {
        return gathered[first + column];
    }
    return input_bits(first + column);
}

// The index of the first entry of a step, in the gathered entries or in the binding of the input.
fn first_entry(g: u32, direction: u32, k: u32, frames: u32) -> u32 {
    if (READ_GATHERED) {
        return gathered_row(k, direction, g);
    }
    return first_of_frame(g, frame_of(direction, k, frames));
}

// Loads the block of a direction that begins at step k. Steps past the last one read the last one
// again.
fn load_block(g: u32, direction: u32, k: u32, item: Item, group: Group) -> BlockEntries {
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
    let columns = columns_of(group, item.labels);
    return BlockEntries(
        entries_of(first.x, columns),
        entries_of(first.y, columns),
        entries_of(first.z, columns),
        entries_of(first.w, columns),
        vec4<u32>(
            entry(first.x, blank),
            entry(first.y, blank),
            entry(first.z, blank),
            entry(first.w, blank),
        ),
        row_max,
    );
}

// The emissions of the blank at PAIRS frames, from frame `first` on.
fn blanks_from(block: BlockEntries, first: u32) -> Scaled {
    let row_max = bitcast<Floats>(frames_from(bitcast<vec4<u32>>(block.row_max), first));
    return emission(frames_from(block.blanks, first), row_max);
}

fn block_emissions(block: BlockEntries) -> BlockStates {
    let a = blanks_from(block, 0u);
    var b = a;
    var c = a;
    var d = a;
    if (PAIRS < 4u) {
        c = blanks_from(block, 2u);
        d = c;
    }
    if (PAIRS < 2u) {
        b = blanks_from(block, 1u);
        d = blanks_from(block, 3u);
    }
    return BlockStates(
        frame_emissions(block.a, block.row_max.x, pair_of(a, 0u)),
        frame_emissions(block.b, block.row_max.y, pair_of(b, 1u % PAIRS)),
        frame_emissions(block.c, block.row_max.z, pair_of(c, 2u % PAIRS)),
        frame_emissions(block.d, block.row_max.w, pair_of(d, 3u % PAIRS)),
    );
}

// The emissions of a single step, for kernels that load no blocks.
fn emissions_at(g: u32, direction: u32, k: u32, item: Item, group: Group) -> States {
    let first = first_entry(g, direction, k, item.frames);
    return emissions_of(
        entries_of(first, columns_of(group, item.labels)),
        row_max_of(g, direction, k, item.frames),
        entry(first, select(params.blank, 0u, READ_GATHERED)),
    );
}
