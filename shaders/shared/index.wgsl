// Where things lie: the only place with index formulas. Twin of src/cpu/index.rs where the twin has the same tables.

// How an item went; Status in src/options.rs.
const OK: u32 = 0u;
const IMPOSSIBLE: u32 = 1u;
const NOT_FINITE: u32 = 2u;
const BAD_LABEL: u32 = 3u;
const BAD_LENGTH: u32 = 4u;

// The top bit of a label's first word: it may be reached from the label before it. Of its second: no equal label
// stands before it. The rest of the second word is the next equal label, NO_LABEL where there is none.
const FLAG: u32 = 0x80000000u;
const NO_LABEL: u32 = 0x7fffffffu;

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

fn steps_of(direction: u32, frames: u32) -> u32 {
    let half = frames / 2u;
    return select(frames - half, half, direction == 0u);
}

fn step_of(t: u32, frames: u32) -> Step {
    if (t < steps_of(0u, frames)) {
        return Step(0u, t);
    }
    return Step(1u, frames - 1u - t);
}

// Row (step, direction, item) of a paged table.
fn table_row(k: u32, direction: u32, g: u32) -> u32 {
    return ((k - params.page_step) * 2u + direction) * params.group + g;
}

// Row (direction, item, slot) of the carry: the state row after j steps lies in slot j & 1.
fn carry_row(direction: u32, g: u32, steps: u32) -> u32 {
    return ((direction * params.group + g) * 2u + (steps & 1u)) * states_stride();
}

fn states_stride() -> u32 {
    return 2u * params.width + 1u;
}

// The linear index of a workgroup in a grid that is folded into x and y.
fn folded(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
