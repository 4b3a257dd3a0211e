// The bindings of both sweep kernels, and access to rows of states in them. The arrays consist of
// words, because they hold floats and integers. A row is stored part by part, so that neighbouring
// lanes access neighbouring words.

override LANES: u32 = 32u;
// True for the outward sweep.
override OUTWARD: bool = false;
// True if the inward sweep stores the first row of each block in the lattice, for the gradient.
override STORE_ROWS: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> gathered: array<u32>;
@group(0) @binding(6) var<storage, read_write> lattice: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> carry: array<vec4<u32>>;
@group(0) @binding(8) var<storage, read> exponents: array<i32>;

// The item and direction that a workgroup processes, and the exponent of the sum over all paths,
// which is not known before the outward sweep. Uniform over the workgroup, as barriers require.
struct Assignment {
    g: u32,
    direction: u32,
    item: Item,
    total_exponent: i32,
}

fn assignment_of(g: u32, direction: u32, item: Item) -> Assignment {
    return Assignment(g, direction, item, exponents[g]);
}

// A lane without a quad loads the last quad. Its states do not affect the item's, but must be
// finite.
fn clamped_quad(q: u32) -> u32 {
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

fn load_carry(row: u32, assignment: Assignment, q: u32) -> States {
    let at = carry_part(row, assignment.direction, assignment.g, 0u) + clamped_quad(q);
    let part = params.quads;
    return States(
        Scaled(floats(carry[at]), integers(carry[at + part])),
        Scaled(floats(carry[at + 2u * part]), integers(carry[at + 3u * part])),
    );
}

fn store_carry(row: u32, assignment: Assignment, q: u32, states: States) {
    if (q >= params.quads) {
        return;
    }
    let at = carry_part(row, assignment.direction, assignment.g, 0u) + q;
    let part = params.quads;
    carry[at] = words(states.blank.m);
    carry[at + part] = bitcast<vec4<u32>>(states.blank.e);
    carry[at + 2u * part] = words(states.label.m);
    carry[at + 3u * part] = bitcast<vec4<u32>>(states.label.e);
}

fn store_row(assignment: Assignment, k: u32, q: u32, states: States) {
    if (!STORE_ROWS || q >= params.quads) {
        return;
    }
    let at = lattice_part(k, assignment.direction, assignment.g, 0u) + q;
    let part = params.quads;
    lattice[at] = words(states.blank.m);
    lattice[at + part] = bitcast<vec4<u32>>(states.blank.e);
    lattice[at + 2u * part] = words(states.label.m);
    lattice[at + 3u * part] = bitcast<vec4<u32>>(states.label.e);
}

// The row that the other direction stored for its block that begins at step k.
fn stored_row(assignment: Assignment, k: u32, q: u32) -> States {
    let at = lattice_part(k, 1u - assignment.direction, assignment.g, 0u) + clamped_quad(q);
    let part = params.quads;
    return States(
        Scaled(floats(lattice[at]), integers(lattice[at + part])),
        Scaled(floats(lattice[at + 2u * part]), integers(lattice[at + 3u * part])),
    );
}

// The weights of a frame: alpha · beta of each label, and the sums over the quad's blanks and over
// its labels, all divided by 2^total_exponent, where total_exponent is the exponent of the sum over
// all paths. At each frame the weights of all states add up to that sum, so after the division they
// are below about 2.
struct Weights {
    labels: vec4<f32>,
    blanks: f32,
    all_labels: f32,
}

fn weights_of(incoming: States, stored: States, total_exponent: i32) -> Weights {
    let blank = incoming.blank.m * stored.blank.m
        * exp2_int(incoming.blank.e + stored.blank.e - total_exponent);
    let label = incoming.label.m * stored.label.m
        * exp2_int(incoming.label.e + stored.label.e - total_exponent);
    return Weights(
        label,
        (blank.x + blank.y) + (blank.z + blank.w),
        (label.x + label.y) + (label.z + label.w),
    );
}
