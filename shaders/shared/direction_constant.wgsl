// The direction is a constant in each call, so that the compiler removes selections by it.
fn sweep_both(direction: u32, g: u32, item: Item, lane: u32) {
    if (direction == 0u) {
        sweep_direction(0u, g, item, lane);
    } else {
        sweep_direction(1u, g, item, lane);
    }
}
