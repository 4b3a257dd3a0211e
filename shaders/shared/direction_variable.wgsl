// The direction is a variable: half as much code to compile as with direction_constant.wgsl.
fn sweep_both(direction: u32, g: u32, item: Item, lane: u32) {
    sweep_direction(direction, g, item, lane);
}
