// What a block of frames says of a quad, read before it is needed: the loads of a block run while the block before it
// is worked on.

// The entries of the labels, a vector a frame; those of the blank and the frames' maxima, a component a frame.
struct Frames {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
    blanks: vec4<u32>,
    tops: vec4<f32>,
}

// The emissions of a block: relative to each frame's likeliest class, whose emission is exactly 1. What a frame is
// divided by is kept apart: a frame of which the network is sure then costs no rounding, and a loss of 0.01 keeps its
// digits.
struct Emissions {
    a: Scaled,
    b: Scaled,
    c: Scaled,
    d: Scaled,
    blanks: Scaled,
}

fn entry(first: u32, column: u32) -> u32 {
    if (GATHERED) {
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

// Where the entries of a step begin.
fn first_entry(g: u32, direction: u32, k: u32, frames: u32) -> u32 {
    if (GATHERED) {
        return gathered_row(k, direction, g);
    }
    return params.input_base + (g * params.item_rows + frame_of(direction, k, frames) * params.frame_rows) * params.classes;
}

fn top_of(g: u32, direction: u32, k: u32, frames: u32) -> f32 {
    return row_stats[frame_of(direction, k, frames) * params.tile_items + g].x;
}

// The block of a direction that begins at step k; past the last step of all the last is read again.
fn frames_at(g: u32, direction: u32, k: u32, item: Item, quad: Quad) -> Frames {
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
    let tops = vec4<f32>(
        top_of(g, direction, k0, item.frames),
        top_of(g, direction, k1, item.frames),
        top_of(g, direction, k2, item.frames),
        top_of(g, direction, k3, item.frames),
    );
    let blank = select(params.blank, 0u, GATHERED);
    return Frames(
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
        tops,
    );
}

fn emission(bits: vec4<u32>, top: vec4<f32>, there: vec4<bool>) -> Scaled {
    let counts = finite(bits) & there;
    let x = bitcast<vec4<f32>>(only(bits, counts));
    if (INPUT == PROBS) {
        let y = biased(x);
        let some = counts & (y >= vec4<f32>(SMALLEST));
        return either(ratio(max(y, vec4<f32>(SMALLEST)), top), scaled_zero(), some);
    }
    return either(exp_below(x, top), scaled_zero(), counts & (depth(x, top) > vec4<f32>(-LEAST)));
}

fn emissions_of(frames: Frames, quad: Quad) -> Emissions {
    return Emissions(
        emission(frames.a, vec4<f32>(frames.tops.x), quad.labels),
        emission(frames.b, vec4<f32>(frames.tops.y), quad.labels),
        emission(frames.c, vec4<f32>(frames.tops.z), quad.labels),
        emission(frames.d, vec4<f32>(frames.tops.w), quad.labels),
        emission(frames.blanks, frames.tops, vec4<bool>(true)),
    );
}

// One frame's emissions, of the quad's blanks and labels.
fn both_of(label: Scaled, blank_m: f32, blank_e: i32, quad: Quad) -> States {
    let blank = Scaled(vec4<f32>(blank_m), vec4<i32>(blank_e));
    return States(either(blank, scaled_zero(), quad.blanks), label);
}

// The emissions of one step, where no block is held.
fn emissions_at(g: u32, direction: u32, k: u32, item: Item, quad: Quad) -> States {
    let first = first_entry(g, direction, k, item.frames);
    let top = vec4<f32>(top_of(g, direction, k, item.frames));
    let blank = emission(vec4<u32>(entry(first, select(params.blank, 0u, GATHERED))), top, vec4<bool>(true));
    let label = emission(entries_of(first, quad.columns), top, quad.labels);
    return both_of(label, blank.m.x, blank.e.x, quad);
}
