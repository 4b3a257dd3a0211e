// A sweep whose workgroup is one or more subgroups. Each subgroup processes a window of consecutive
// groups, and its lanes exchange states only with each other. The last two quads of a window are
// the first two of the next one. The first of these quads belongs to the earlier window, the second
// to the later one.
//
// At each frame, a state depends on those of the pair beside it at the frame before. So at an end
// of a window, where no lane has that pair, the states of one more pair become wrong at each frame.
// After the four frames of a block, these are the pairs of the quad that belongs to another window.
// Then the subgroups pass each other the states of the quads that belong to them, through workgroup
// memory, with one barrier. The memory is double-buffered.

override WINDOWS: u32 = LANES / SUBGROUP;
// The number of groups from one window to the next.
override WINDOW_STEP: u32 = SUBGROUP - min(SUBGROUP, 2u * GROUPS_PER_QUAD);
override TWO_ROWS: u32 = 2u * LANES;

// The states of a row in the sweep's own direction, and those in the other one, each twice.
var<workgroup> sh_states: array<States, TWO_ROWS>;
var<workgroup> sh_other_states: array<States, TWO_ROWS>;
var<private> row_start: u32 = 0u;
var<private> own_lane: u32 = 0u;

// The window of a lane. The minimum makes it a constant if there is only one.
fn window_of(lane: u32) -> u32 {
    return min(lane / SUBGROUP, WINDOWS - 1u);
}

// The group that a lane processes, and the lane of a group.
fn group_of_lane(lane: u32) -> u32 {
    own_lane = lane;
    let window = window_of(lane);
    return window * WINDOW_STEP + lane - window * SUBGROUP;
}

fn lane_of_group(group: u32) -> u32 {
    return own_lane;
}

// True if the lane's group belongs to its window.
fn owns_group() -> bool {
    let window = window_of(own_lane);
    let i = own_lane - window * SUBGROUP;
    return (i >= GROUPS_PER_QUAD || window == 0u)
        && (i < SUBGROUP - GROUPS_PER_QUAD || window == WINDOWS - 1u);
}

// True if the lane stores the values of its group: there is such a group, and it belongs to the
// lane's window.
fn stores_group(group: u32) -> bool {
    return group < row_groups() && owns_group();
}

// The states of a group, given those that the lane computed: those of the window to which the group
// belongs.
fn owned_states(group: u32, states: States) -> States {
    if (WINDOWS == 1u) {
        return states;
    }
    let owns = owns_group();
    let at = row_start + group;
    row_start = LANES - row_start;
    if (owns) {
        sh_states[at] = states;
    }
    workgroupBarrier();
    if (owns) {
        return states;
    }
    return sh_states[at];
}

// The states of a group in a sweep's own direction and in the other one.
struct BothStates {
    own: States,
    other: States,
}

fn owned_both(group: u32, both: BothStates) -> BothStates {
    if (WINDOWS == 1u) {
        return both;
    }
    let owns = owns_group();
    let at = row_start + group;
    if (owns) {
        sh_other_states[at] = both.other;
    }
    let states = owned_states(group, both.own);
    if (owns) {
        return BothStates(states, both.other);
    }
    return BothStates(states, sh_other_states[at]);
}
