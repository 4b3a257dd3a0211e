// The bindings of both sweep kernels, and access to rows of states in them. An element of `lattice`
// or `carry` has one word per pair of a group: words, because the arrays hold floats and integers.
// A row is stored part by part, so that neighbouring lanes access neighbouring elements.

override LANES: u32 = 32u;
// True for the outward sweep.
override OUTWARD: bool = false;
// True if the inward sweep stores the first row of each block in the lattice, for the gradient.
override STORE_ROWS: bool = false;

@group(0) @binding(2) var<storage, read> items: array<Item>;
@group(0) @binding(3) var<storage, read> label_table: array<u32>;
@group(0) @binding(4) var<storage, read> row_stats: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> lattice: array<Words>;
@group(0) @binding(8) var<storage, read> item_status: array<u32>;

// The item and direction that a workgroup processes. Uniform over the workgroup, as barriers
// require.
struct Assignment {
    g: u32,
    direction: u32,
    item: Item,
}

// The states of a lane without a group. They are 0, so that they add nothing to the last group.
fn no_states() -> States {
    return States(zero_state(), zero_state());
}

fn floats(words: Words) -> Floats {
    return bitcast<Floats>(words);
}

fn integers(words: Words) -> Ints {
    return bitcast<Ints>(words);
}

fn words(floats: Floats) -> Words {
    return bitcast<Words>(floats);
}

fn load_carry(row: u32, assignment: Assignment, group: u32) -> States {
    let part = row_groups();
    if (group >= part) {
        return no_states();
    }
    let at = carry_part(row, assignment.direction, assignment.g, 0u) * GROUPS_PER_QUAD + group;
    return States(
        Scaled(floats(carry[at]), integers(carry[at + part])),
        Scaled(floats(carry[at + 2u * part]), integers(carry[at + 3u * part])),
    );
}

// The index of a group in part 0 of a block of the lattice.
fn lattice_group(k: u32, direction: u32, g: u32, group: u32) -> u32 {
    return lattice_part(k, direction, g, 0u) * GROUPS_PER_QUAD + group;
}

fn store_row(assignment: Assignment, k: u32, group: u32, states: States) {
    let part = row_groups();
    if (!STORE_ROWS || !stores_group(group)) {
        return;
    }
    let at = lattice_group(k, assignment.direction, assignment.g, group);
    lattice[at] = words(states.blank.m);
    lattice[at + part] = bitcast<Words>(states.blank.e);
    lattice[at + 2u * part] = words(states.label.m);
    lattice[at + 3u * part] = bitcast<Words>(states.label.e);
}

// The row that the other direction stored for its block that begins at step k.
fn stored_row(assignment: Assignment, k: u32, group: u32) -> States {
    let part = row_groups();
    if (!stores_group(group)) {
        return no_states();
    }
    let at = lattice_group(k, 1u - assignment.direction, assignment.g, group);
    return States(
        Scaled(floats(lattice[at]), integers(lattice[at + part])),
        Scaled(floats(lattice[at + 2u * part]), integers(lattice[at + 3u * part])),
    );
}

// The exponent of the power of two that divides an item's weights in a direction: the largest one
// of the products alpha · beta at the first frame that the outward sweep processes. At each frame
// these products add up to the sum over all paths, so no weight exceeds the range of f32. It is
// stored in the carry for the dispatches that continue the sweep.
var<private> reference: i32 = 0;

fn reference_index(assignment: Assignment) -> u32 {
    let end = carry_part(rows_of_carry(), 0u, 0u, 0u) * GROUPS_PER_QUAD;
    return end + 2u * assignment.g + assignment.direction;
}

fn load_reference(assignment: Assignment) -> i32 {
    return largest_of(integers(carry[reference_index(assignment)]));
}

// True if the dispatch begins the outward sweep of the item.
fn begins_outward(assignment: Assignment) -> bool {
    return params.end_step >= steps_of(1u - assignment.direction, assignment.item.frames);
}

// The exponent of a · b, with m in [1, 2). It depends only on the values of a and b, and not on how
// they are split into m and e: emissions from the table are normalised, computed ones are not.
fn product_exponent(a: Scaled, b: Scaled) -> Ints {
    return normalised(Scaled(a.m * b.m, a.e + b.e)).e;
}

// The largest exponent of the products of a group's states.
fn largest_exponent(a: States, b: States) -> i32 {
    return largest_of(max(product_exponent(a.blank, b.blank), product_exponent(a.label, b.label)));
}

// The weights of a group at a frame: alpha · beta of each label, and the sum over the group's
// blanks, all divided by 2^reference.
struct Weights {
    labels: Floats,
    blanks: f32,
}

// a · b / 2^reference; 0 below the smallest normal number. Adds to the bits of the exponent instead
// of multiplying by a power of two, because a driver may contract a sum of two products, and the
// bits of the sums over blanks would then depend on PAIRS. The exponents are added modulo 2^32:
// those of two zeros, less the reference, would not fit in an i32.
fn weight(a: Scaled, b: Scaled) -> Floats {
    let bits = bitcast<Words>(a.m * b.m);
    let e = bitcast<Words>(a.e) + bitcast<Words>(b.e) - Words(bitcast<u32>(reference));
    let exponent = (bits >> Words(23u)) + e;
    let scaled = bitcast<Ints>(bits + (e << Words(23u)));
    return bitcast<Floats>(select_ints(scaled, Ints(0), exponent - Words(1u) < Words(254u)));
}

fn weights_of(incoming: States, stored: States) -> Weights {
    return Weights(
        weight(incoming.label, stored.label),
        sum_of(weight(incoming.blank, stored.blank)),
    );
}
