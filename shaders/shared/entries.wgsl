// The entries of a group at one frame, and the emissions computed from them. `entry` is declared by
// emissions.wgsl or emission_table.wgsl, whichever follows. The pairs of a group are written out,
// because naga adds guards to a loop, which keep compilers from unrolling it.

fn entries_of(first: u32, columns: Words) -> Words {
    var entries = Words(entry(first, component(columns, 0u)));
    if (PAIRS > 1u) {
        entries = with_component(entries, 1u, entry(first, component(columns, 1u)));
    }
    if (PAIRS > 2u) {
        entries = with_component(entries, 2u, entry(first, component(columns, 2u)));
        entries = with_component(entries, 3u, entry(first, component(columns, 3u)));
    }
    return entries;
}

// The maximum of the frame at step k.
fn row_max_of(g: u32, direction: u32, k: u32, frames: u32) -> f32 {
    return row_stats[frame_of(direction, k, frames) * params.tile_items + g].x;
}

// The emissions of one frame, given the entries of the labels and the emission of the blank. Pairs
// past the last label get emissions too, which changes no result: for beta the states of such pairs
// stay 0, and for alpha no transition leads from them to the pairs before.
fn frame_emissions(labels: Words, row_max: f32, blank: ScaledNumber) -> States {
    return States(
        Scaled(Floats(blank.m), Ints(blank.e)),
        emission(labels, Floats(row_max)),
    );
}

// The emissions of one frame, given all of its entries.
fn emissions_of(labels: Words, row_max: f32, blank: u32) -> States {
    let blanks = emission(Words(blank), Floats(row_max));
    return frame_emissions(labels, row_max, pair_of(blanks, 0u));
}
