// The entries of a group at one frame, and the emissions computed from them. The file that
// follows, emissions.wgsl or emission_table.wgsl, declares `entry`. The pairs of a group are written
// out, because naga adds guards to a loop, which keep compilers from unrolling it.

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

// The emissions of one frame.
fn frame_emissions(labels: Words, blank: u32, row_max: f32, group: Group) -> States {
    return States(
        emission(Words(blank), Floats(row_max), group.blanks),
        emission(labels, Floats(row_max), group.labels),
    );
}
