// What both sweeps share: their tables, in words, since they hold floats and integers. A row of states lies there part
// by part, so that what neighbouring lanes read lies side by side.

override LANES: u32 = 32u;
override OUT: bool = false;
// Whether rows are kept for a gradient.
override KEEP: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> gathered: array<u32>;
@group(0) @binding(6) var<storage, read_write> lattice: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> carry: array<vec4<u32>>;
@group(0) @binding(8) var<storage, read> exponents: array<i32>;

// Whose rows a workgroup works on: the same for all of its lanes, which barriers ask for.
struct Assignment {
    g: u32,
    direction: u32,
    item: Item,
    top: i32,
}

fn assignment_of(g: u32, direction: u32, item: Item) -> Assignment {
    return Assignment(g, direction, item, exponents[g]);
}

// A lane that has no quad takes the last one's states: whatever it offers goes where no label is, but must be a number.
fn there(q: u32) -> u32 {
    return min(q, params.quads - 1u);
}

fn floats(words: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(words);
}

fn integers(words: vec4<u32>) -> vec4<i32> {
    return bitcast<vec4<i32>>(words);
}

fn words(floats: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(floats);
}

fn carried(slot: u32, assignment: Assignment, q: u32) -> States {
    let at = carry_part(slot, assignment.direction, assignment.g, 0u) + there(q);
    let part = params.quads;
    return States(
        Scaled(floats(carry[at]), integers(carry[at + part])),
        Scaled(floats(carry[at + 2u * part]), integers(carry[at + 3u * part])),
    );
}

fn carry_on(slot: u32, assignment: Assignment, q: u32, states: States) {
    if (q >= params.quads) {
        return;
    }
    let at = carry_part(slot, assignment.direction, assignment.g, 0u) + q;
    let part = params.quads;
    carry[at] = words(states.blank.m);
    carry[at + part] = bitcast<vec4<u32>>(states.blank.e);
    carry[at + 2u * part] = words(states.label.m);
    carry[at + 3u * part] = bitcast<vec4<u32>>(states.label.e);
}

fn keep(assignment: Assignment, k: u32, q: u32, states: States) {
    if (!KEEP || q >= params.quads) {
        return;
    }
    let at = lattice_part(k, assignment.direction, assignment.g, 0u) + q;
    let part = params.quads;
    lattice[at] = words(states.blank.m);
    lattice[at + part] = bitcast<vec4<u32>>(states.blank.e);
    lattice[at + 2u * part] = words(states.label.m);
    lattice[at + 3u * part] = bitcast<vec4<u32>>(states.label.e);
}

// The row that the other direction kept for its block that begins at step k.
fn kept(assignment: Assignment, k: u32, q: u32) -> States {
    let at = lattice_part(k, 1u - assignment.direction, assignment.g, 0u) + there(q);
    let part = params.quads;
    return States(
        Scaled(floats(lattice[at]), integers(lattice[at + part])),
        Scaled(floats(lattice[at + 2u * part]), integers(lattice[at + 3u * part])),
    );
}

// The weights of a frame, at an exponent of its own: that of the sum of all paths, which is the sum of a frame's
// occupancies, at each frame; so they are at most about 1.
struct Weights {
    labels: vec4<f32>,
    blanks: f32,
    all_labels: f32,
}

fn weights_of(into: States, kept: States, top: i32) -> Weights {
    let blank = into.blank.m * kept.blank.m * power(into.blank.e + kept.blank.e - top);
    let label = into.label.m * kept.label.m * power(into.label.e + kept.label.e - top);
    return Weights(label, (blank.x + blank.y) + (blank.z + blank.w), (label.x + label.y) + (label.z + label.w));
}
