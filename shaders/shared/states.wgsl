// The recursion of the forward and backward variables (Graves et al. 2006, eq. 6 to 11) on a group
// of PAIRS state pairs, for both directions. Must match src/cpu/states.rs.
//
// State pair i is the blank before label i, and label i. Both directions count pairs from the first
// label on. A group needs one edge state from a neighbouring group. For alpha, it is the last label
// of the group before. For beta, it is the sum over the transitions from the last label of the
// group into the first pair of the group after. The direction is applied by `select` and not by
// branches; where it is a constant, as in `sweep`, compilers remove the selections.

// RepeatedOutputs::Distinct in src/options.rs: no self-loop of labels.
override DISTINCT: bool = false;

// The states of a group.
struct States {
    blank: Scaled,
    label: Scaled,
}

// The states or the emissions of a group at the four frames of a block.
struct BlockStates {
    a: States,
    b: States,
    c: States,
    d: States,
}

// A group: its index, which of its pairs have a label, which labels allow the skip from the label
// before, and the class of each label.
struct Group {
    index: u32,
    labels: Bools,
    skip_allowed: Bools,
    classes: Words,
}

fn no_edge_state() -> ScaledNumber {
    return ScaledNumber(1.0, ZERO_STATE);
}

// The word of label i in the label table. Past the last label, the class of the blank, whose
// entries are loaded but not used.
fn label_word(g: u32, labels: u32, i: u32) -> u32 {
    if (i < labels) {
        return label_table[g * params.label_capacity + i];
    }
    return params.blank;
}

fn group_of(g: u32, labels: u32, index: u32) -> Group {
    let pairs = pair_indices(index);
    var words = Words(label_word(g, labels, component(pairs, 0u)));
    if (PAIRS > 1u) {
        words = with_component(words, 1u, label_word(g, labels, component(pairs, 1u)));
    }
    if (PAIRS > 2u) {
        words = with_component(words, 2u, label_word(g, labels, component(pairs, 2u)));
        words = with_component(words, 3u, label_word(g, labels, component(pairs, 3u)));
    }
    let skip_allowed = ((words & Words(TOP_BIT)) != Words(0u)) & (pairs > Words(0u));
    return Group(
        index,
        pairs < Words(labels),
        skip_allowed,
        words & Words(~TOP_BIT),
    );
}

// The states before a direction's first frame: probability 1 in the blank at the direction's start,
// else 0.
fn initial_states(direction: u32, labels: u32, group: u32) -> States {
    let start = select(labels, 0u, direction == 0u);
    let is_start = pair_indices(group) == Words(start);
    return States(select_scaled(one_state(), zero_state(), is_start), zero_state());
}

// Selects `blank_and_label` for the pairs whose label allows the skip, and `blank` for the others.
// For alpha, `blank_and_label` is the pair's blank plus the label before, and the result is the sum
// over the transitions into the pair's label without its self-loop. For beta, it is the blank plus
// the label of the pair, and the result is the sum over the transitions from the label before into
// the pair.
fn with_skip(blank: Scaled, blank_and_label: Scaled, group: Group) -> Scaled {
    return select_scaled(blank_and_label, blank, group.skip_allowed);
}

// The edge state that a group passes to its neighbour in a direction.
fn edge_state(direction: u32, states: States, group: Group) -> ScaledNumber {
    let last = pair_of(states.label, PAIRS - 1u);
    let first = pair_of(with_skip(states.blank, plus(states.blank, states.label), group), 0u);
    let alpha = direction == 0u;
    return ScaledNumber(select(first.m, last.m, alpha), select(first.e, last.e, alpha));
}

// The sum over the transitions into each state at the direction's next frame, without the emission.
fn transition_sums(direction: u32, states: States, edge: ScaledNumber, group: Group) -> States {
    let alpha = Bools(direction == 0u);
    let label = states.label;
    let label_before = values_before(edge, label);
    let into_blank = plus(states.blank, select_scaled(label_before, label, alpha));
    let entering = with_skip(states.blank, into_blank, group);
    let entering_after = values_after(entering, edge);
    var self_loop = label;
    if (DISTINCT) {
        self_loop = zero_state();
    }
    return States(into_blank, plus(self_loop, select_scaled(entering, entering_after, alpha)));
}

fn with_emission(incoming: States, y: States) -> States {
    return States(
        times_emission(incoming.blank, y.blank),
        times_emission(incoming.label, y.label),
    );
}
