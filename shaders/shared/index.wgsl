// Where things lie: the only place with index formulas. Twin of src/cpu/index.rs where the CPU backend has the same tables.

// How an item went; Status in src/options.rs.
const OK: u32 = 0u;
const IMPOSSIBLE: u32 = 1u;
const NOT_FINITE: u32 = 2u;
const BAD_LABEL: u32 = 3u;
const BAD_LENGTH: u32 = 4u;

// The top bit of a label's first word: it may be reached from the label before it. The rest is its class. The second word
// is the next equal label, as a class's head is its first; the top bit there: another follows that one.
const FLAG: u32 = 0x80000000u;
const NO_LABEL: u32 = 0x7fffffffu;

// Frames whose rows of states share one kept row; see sweep.
const BLOCK: u32 = 4u;

// What the stages know of an item: frames that count, labels, factor of its loss and gradient, and whether an
// alignment is to be looked for.
struct Item {
    frames: u32,
    labels: u32,
    scale: f32,
    sweeps: u32,
}

// Frame t of an item is step k of one of the two directions: alpha takes the first half of the frames, beta the rest,
// from the end. All tables over frames are ordered by step, so that what two dispatches need at the same time lies
// side by side and a window of steps is a window of the table, whatever the items' lengths.
struct Step {
    direction: u32,
    k: u32,
}

// The loss's sweeps; an alignment goes one way, in which a step is a frame.
override DIRECTIONS: u32 = 2u;

fn steps_of(direction: u32, frames: u32) -> u32 {
    if (DIRECTIONS == 1u) {
        return frames;
    }
    let half = frames / 2u;
    return select(frames - half, half, direction == 0u);
}

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

// Row (step, direction, item) of the gathered entries.
fn gathered_row(k: u32, direction: u32, g: u32) -> u32 {
    return (((k - params.segment_begin) * DIRECTIONS + direction) * params.tile_items + g) * (params.label_capacity + 1u);
}

// Part (block of steps, direction, item, part) of the lattice: a quad of four floats for each quad of places. Parts 0
// to 3 are a row of states on the way in (mantissas and exponents of blanks, then of labels), and the weights of the
// labels at each frame of the block on the way out; parts 4 and 5 the totals of the quad's blanks' and labels' weights,
// each at all four frames.
const PARTS: u32 = 6u;

fn lattice_part(k: u32, direction: u32, g: u32, part: u32) -> u32 {
    let block = (k - params.segment_begin) / BLOCK;
    return (((block * 2u + direction) * params.tile_items + g) * PARTS + part) * params.quads;
}

// Part (slot, direction, item, part) of the carry, a row of states.
fn carry_part(slot: u32, direction: u32, g: u32, part: u32) -> u32 {
    return (((slot * DIRECTIONS + direction) * params.tile_items + g) * 4u + part) * params.quads;
}

// Row (two steps, item) of an alignment's backpointers: a word a quad, the odd step in its upper half.
fn backpointer_row(k: u32, g: u32) -> u32 {
    return ((k - params.segment_begin) / 2u * params.tile_items + g) * params.quads;
}

// The linear index of a workgroup in a grid that is folded into x and y.
fn folded(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
