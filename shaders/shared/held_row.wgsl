// A row of the input that the lanes hold in registers, so that `softmax_stats` reads it once.

// The number of vectors of four classes per lane; 0 if the row is not held. At most 12. Must match
// `held_vectors` in src/plan/stages.rs.
override ROW_VECTORS: u32 = 0u;

// Four vectors of a lane, and all of them: those with a number below ROW_VECTORS. Not an array,
// which some drivers put into memory.
struct HeldPart {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

struct HeldRow {
    a: HeldPart,
    b: HeldPart,
    c: HeldPart,
}

fn held_vector(row: InputRow, lane: u32, k: u32) -> vec4<u32> {
    if (k >= ROW_VECTORS) {
        return vec4<u32>(0u);
    }
    return values(row, lane, k, k + 1u < ROW_VECTORS);
}

fn held_part(row: InputRow, lane: u32, k: u32) -> HeldPart {
    return HeldPart(
        held_vector(row, lane, k),
        held_vector(row, lane, k + 1u),
        held_vector(row, lane, k + 2u),
        held_vector(row, lane, k + 3u),
    );
}

fn held_row(row: InputRow, lane: u32) -> HeldRow {
    return HeldRow(held_part(row, lane, 0u), held_part(row, lane, 4u), held_part(row, lane, 8u));
}

fn add_held_extrema(extrema: Extrema, bits: vec4<u32>, k: u32) -> Extrema {
    if (k >= ROW_VECTORS) {
        return extrema;
    }
    return add_extrema(extrema, bits);
}

fn add_part_extrema(extrema: Extrema, part: HeldPart, k: u32) -> Extrema {
    var result = add_held_extrema(extrema, part.a, k);
    result = add_held_extrema(result, part.b, k + 1u);
    result = add_held_extrema(result, part.c, k + 2u);
    return add_held_extrema(result, part.d, k + 3u);
}

fn held_extrema(row: HeldRow) -> Extrema {
    var extrema = add_part_extrema(no_extrema(), row.a, 0u);
    extrema = add_part_extrema(extrema, row.b, 4u);
    return add_part_extrema(extrema, row.c, 8u);
}

fn take_held(maxima: Maxima, bits: vec4<u32>, lane: u32, k: u32, max_bits: u32) -> Taken {
    if (k >= ROW_VECTORS) {
        return Taken(maxima, bits);
    }
    return take_maxima(maxima, bits, lane, k, max_bits);
}

struct TakenPart {
    maxima: Maxima,
    part: HeldPart,
}

fn take_part(maxima: Maxima, part: HeldPart, lane: u32, k: u32, max_bits: u32) -> TakenPart {
    let a = take_held(maxima, part.a, lane, k, max_bits);
    let b = take_held(a.maxima, part.b, lane, k + 1u, max_bits);
    let c = take_held(b.maxima, part.c, lane, k + 2u, max_bits);
    let d = take_held(c.maxima, part.d, lane, k + 3u, max_bits);
    return TakenPart(d.maxima, HeldPart(a.bits, b.bits, c.bits, d.bits));
}

struct TakenRow {
    maxima: Maxima,
    row: HeldRow,
}

// The maxima of a row, and the row with the bits of `taken_bits` in place of the maximum.
fn held_maxima(row: HeldRow, lane: u32, max_bits: u32) -> TakenRow {
    let a = take_part(no_maxima(), row.a, lane, 0u, max_bits);
    let b = take_part(a.maxima, row.b, lane, 4u, max_bits);
    let c = take_part(b.maxima, row.c, lane, 8u, max_bits);
    return TakenRow(c.maxima, HeldRow(a.part, b.part, c.part));
}

// The sums after a vector, and the bits of its weights (see `weights`).
struct Added {
    sums: vec4<f32>,
    bits: vec4<u32>,
}

fn add_held(sums: vec4<f32>, bits: vec4<u32>, k: u32, row_max: f32) -> Added {
    if (k >= ROW_VECTORS) {
        return Added(sums, bits);
    }
    let terms = contribution(bits, row_max);
    return Added(sums + terms, bitcast<vec4<u32>>(weights(bits, terms)));
}

struct AddedPart {
    sums: vec4<f32>,
    part: HeldPart,
}

fn add_part(sums: vec4<f32>, part: HeldPart, k: u32, row_max: f32) -> AddedPart {
    let a = add_held(sums, part.a, k, row_max);
    let b = add_held(a.sums, part.b, k + 1u, row_max);
    let c = add_held(b.sums, part.c, k + 2u, row_max);
    let d = add_held(c.sums, part.d, k + 3u, row_max);
    return AddedPart(d.sums, HeldPart(a.bits, b.bits, c.bits, d.bits));
}

struct AddedRow {
    sums: vec4<f32>,
    row: HeldRow,
}

// The sum of the contributions of a lane's classes, and the row with the bits of their weights.
fn held_sums(row: HeldRow, row_max: f32) -> AddedRow {
    let a = add_part(vec4<f32>(0.0), row.a, 0u, row_max);
    let b = add_part(a.sums, row.b, 4u, row_max);
    let c = add_part(b.sums, row.c, 8u, row_max);
    return AddedRow(c.sums, HeldRow(a.part, b.part, c.part));
}

fn write_held(row: InputRow, lane: u32, bits: vec4<u32>, k: u32, factors: GradientFactors) {
    if (k < ROW_VECTORS) {
        let values = softmax_gradient(bitcast<vec4<f32>>(bits), factors);
        set_row_gradient(row.first, lane, k, k + 1u < ROW_VECTORS, values);
    }
}

fn write_part(row: InputRow, lane: u32, part: HeldPart, k: u32, factors: GradientFactors) {
    write_held(row, lane, part.a, k, factors);
    write_held(row, lane, part.b, k + 1u, factors);
    write_held(row, lane, part.c, k + 2u, factors);
    write_held(row, lane, part.d, k + 3u, factors);
}

// Writes the gradient of a lane's classes, whose weights `held` has.
fn write_held_row(row: InputRow, lane: u32, held: HeldRow, factors: GradientFactors) {
    write_part(row, lane, held.a, 0u, factors);
    write_part(row, lane, held.b, 4u, factors);
    write_part(row, lane, held.c, 8u, factors);
}
