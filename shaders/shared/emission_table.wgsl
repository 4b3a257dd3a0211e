// Reads the emissions of a group from the emission table that `softmax_stats` wrote. Loads one
// block of frames ahead, so that the loads overlap with the computation of the block before.
// Computes the emissions of a block from the input if the table cannot hold one of them. Declares
// `load_block`, `block_emissions` and `emissions_at`, as emissions.wgsl does. The pairs of a group
// are written out, because naga adds guards to a loop, which keep compilers from unrolling it.

// The words of a group in a block of four frames. `a`, `b`, `c` and `d` are those of the labels at
// the first to the fourth frame. `blanks`, the words of the blank, has one component per frame.
// `g`, `direction`, `k`, `frames` and the `classes` of the labels locate its entries in the input.
struct BlockEntries {
    a: Words,
    b: Words,
    c: Words,
    d: Words,
    blanks: vec4<u32>,
    g: u32,
    direction: u32,
    k: u32,
    frames: u32,
    classes: Words,
}

// True if the table has a column per class, and not one per label.
override OF_CLASSES: bool = false;

@group(0) @binding(5) var<storage, read> gathered: array<vec4<u32>>;

// The bits of the entry in a column of the row of the input that begins at `first`.
fn entry(first: u32, column: u32) -> u32 {
    return input_bits(first + column);
}

// Loads the block of a direction that begins at step k, or the last block if k is past the last
// step. Words of steps past the last one are not used.
fn load_block(g: u32, direction: u32, k: u32, item: Item, group: Group) -> BlockEntries {
    let last = steps_of(direction, item.frames) - 1u;
    let row = table_row(min(k, last), direction, g, OF_CLASSES);
    var columns = min(pair_indices(group.index) + 1u, Words(item.labels));
    var blank = 0u;
    if (OF_CLASSES) {
        columns = group.classes;
        blank = params.blank;
    }
    let first = gathered[row + component(columns, 0u)];
    var entries = BlockEntries(
        Words(first.x),
        Words(first.y),
        Words(first.z),
        Words(first.w),
        gathered[row + blank],
        g,
        direction,
        k,
        item.frames,
        group.classes,
    );
    if (PAIRS > 1u) {
        entries = with_column(entries, 1u, gathered[row + component(columns, 1u)]);
    }
    if (PAIRS > 2u) {
        entries = with_column(entries, 2u, gathered[row + component(columns, 2u)]);
        entries = with_column(entries, 3u, gathered[row + component(columns, 3u)]);
    }
    return entries;
}

// The entries with the words of the group's label i replaced.
fn with_column(entries: BlockEntries, i: u32, words: vec4<u32>) -> BlockEntries {
    var changed = entries;
    changed.a = with_component(entries.a, i, words.x);
    changed.b = with_component(entries.b, i, words.y);
    changed.c = with_component(entries.c, i, words.z);
    changed.d = with_component(entries.d, i, words.w);
    return changed;
}

fn block_emissions(block: BlockEntries) -> BlockStates {
    let absent = (block.a == Words(NOT_IN_TABLE))
        | (block.b == Words(NOT_IN_TABLE))
        | (block.c == Words(NOT_IN_TABLE))
        | (block.d == Words(NOT_IN_TABLE));
    if (any_of(absent) || any(block.blanks == vec4<u32>(NOT_IN_TABLE))) {
        return BlockStates(
            step_emissions(block, 0u),
            step_emissions(block, 1u),
            step_emissions(block, 2u),
            step_emissions(block, 3u),
        );
    }
    return BlockStates(
        States(from_table(Words(block.blanks.x)), from_table(block.a)),
        States(from_table(Words(block.blanks.y)), from_table(block.b)),
        States(from_table(Words(block.blanks.z)), from_table(block.c)),
        States(from_table(Words(block.blanks.w)), from_table(block.d)),
    );
}

// The emissions of one of the block's steps, computed from the input. A step past the direction's
// last one is replaced by the last one.
fn step_emissions(block: BlockEntries, step: u32) -> States {
    let last = steps_of(block.direction, block.frames) - 1u;
    let k = min(block.k + step, last);
    let first = first_of_frame(block.g, frame_of(block.direction, k, block.frames));
    return emissions_of(
        entries_of(first, block.classes),
        row_max_of(block.g, block.direction, k, block.frames),
        entry(first, params.blank),
    );
}

// The emissions of a single step, for kernels that load no blocks.
fn emissions_at(g: u32, direction: u32, k: u32, item: Item, group: Group) -> States {
    let step = k % BLOCK;
    let block = load_block(g, direction, k - step, item, group);
    var labels = block.a;
    switch (step) {
        case 1u: {
            labels = block.b;
        }
        case 2u: {
            labels = block.c;
        }
        case 3u: {
            labels = block.d;
        }
        default: {}
    }
    let blank = block.blanks[step];
    if (any_of(labels == Words(NOT_IN_TABLE)) || blank == NOT_IN_TABLE) {
        return step_emissions(block, step);
    }
    return States(from_table(Words(blank)), from_table(labels));
}
