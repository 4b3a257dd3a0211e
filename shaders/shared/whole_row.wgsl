// A sweep in which each group of a row is processed by one lane. windows.wgsl declares the same
// names.

// The group that a lane processes, and the lane of a group.
fn group_of_lane(lane: u32) -> u32 {
    return lane;
}

fn lane_of_group(group: u32) -> u32 {
    return group;
}

fn owns_group() -> bool {
    return true;
}

// True if the lane stores the values of its group: there is such a group.
fn stores_group(group: u32) -> bool {
    return group < row_groups();
}

// The states of a group, given those that the lane computed.
fn owned_states(group: u32, states: States) -> States {
    return states;
}

// The states of a group in a sweep's own direction and in the other one.
struct BothStates {
    own: States,
    other: States,
}

fn owned_both(group: u32, both: BothStates) -> BothStates {
    return both;
}
