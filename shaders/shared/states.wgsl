// The recursion of the forward and backward variables (Graves et al. 2006, eq. 6 to 11) on a quad
// of four state pairs, for both directions. Must match src/cpu/states.rs.
//
// State pair i is the blank before label i, and label i. Both directions count pairs from the first
// label on. A quad needs one edge state from a neighbouring quad. For alpha, it is the last label
// of the quad before. For beta, it is the sum over the transitions from the last label of the quad
// into the first pair of the quad after. The direction is applied by `select` and not by branches,
// so that both directions execute the same instructions.

// RepeatedOutputs::Distinct in src/options.rs: no self-loop of labels.
override DISTINCT: bool = false;

// The states of four pairs.
struct States {
    blank: Scaled,
    label: Scaled,
}

// A quad: its index q, which of its pairs have a blank, which have a label, which labels allow the
// skip from the label before, and the column of each label in the input or in the gathered entries.
struct Quad {
    q: u32,
    blanks: vec4<bool>,
    labels: vec4<bool>,
    skip_allowed: vec4<bool>,
    columns: vec4<u32>,
}

// True if the input is read from the gathered entries.
override READ_GATHERED: bool = false;

// The edge state that a quad passes to its neighbour, as a scaled float: for alpha a state, for
// beta a sum over transitions.
struct EdgeState {
    m: f32,
    e: i32,
}

fn no_edge_state() -> EdgeState {
    return EdgeState(1.0, ZERO_EXPONENT);
}

// The first word of label i in the label table. Past the last label, the class of the blank, whose
// entries are loaded but not used.
fn label_word(g: u32, labels: u32, i: u32) -> u32 {
    if (i < labels) {
        return label_table[g * params.label_capacity + i].x;
    }
    return params.blank;
}

fn quad_of(g: u32, labels: u32, q: u32) -> Quad {
    let first = 4u * q;
    let pairs = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    let words = vec4<u32>(
        label_word(g, labels, pairs.x),
        label_word(g, labels, pairs.y),
        label_word(g, labels, pairs.z),
        label_word(g, labels, pairs.w),
    );
    let skip_allowed = ((words & vec4<u32>(TOP_BIT)) != vec4<u32>(0u)) & (pairs > vec4<u32>(0u));
    var columns = words & vec4<u32>(~TOP_BIT);
    if (READ_GATHERED) {
        columns = min(pairs + 1u, vec4<u32>(labels));
    }
    return Quad(q, pairs <= vec4<u32>(labels), pairs < vec4<u32>(labels), skip_allowed, columns);
}

// The states before a direction's first frame: probability 1 in the blank at the direction's start,
// else 0.
fn initial_states(direction: u32, labels: u32, q: u32) -> States {
    let first = 4u * q;
    let pairs = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    let start = select(labels, 0u, direction == 0u);
    return States(select_scaled(scaled_one(), scaled_zero(), pairs == vec4<u32>(start)), scaled_zero());
}

// Selects `blank_and_label` for the pairs whose label allows the skip, and `blank` for the others.
// For alpha, `blank_and_label` is the pair's blank plus the label before, and the result is the sum
// over the transitions into the pair's label without its self-loop. For beta, it is the blank plus
// the label of the pair, and the result is the sum over the transitions from the label before into
// the pair.
fn with_skip(blank: Scaled, blank_and_label: Scaled, quad: Quad) -> Scaled {
    return select_scaled(blank_and_label, blank, quad.skip_allowed);
}

// The edge state that a quad passes to its neighbour in a direction.
fn edge_state(direction: u32, states: States, quad: Quad) -> EdgeState {
    let entering = with_skip(states.blank, plus(states.blank, states.label), quad);
    let alpha = direction == 0u;
    return EdgeState(
        select(entering.m.x, states.label.m.w, alpha),
        select(entering.e.x, states.label.e.w, alpha),
    );
}

// The sum over the transitions into each state at the direction's next frame, without the emission.
fn transition_sums(direction: u32, states: States, edge: EdgeState, quad: Quad) -> States {
    let alpha = vec4<bool>(direction == 0u);
    let label = states.label;
    let label_before = Scaled(vec4<f32>(edge.m, label.m.xyz), vec4<i32>(edge.e, label.e.xyz));
    let into_blank = plus(states.blank, select_scaled(label_before, label, alpha));
    let entering = with_skip(states.blank, into_blank, quad);
    let entering_after = Scaled(vec4<f32>(entering.m.yzw, edge.m), vec4<i32>(entering.e.yzw, edge.e));
    var self_loop = label;
    if (DISTINCT) {
        self_loop = scaled_zero();
    }
    return States(into_blank, plus(self_loop, select_scaled(entering, entering_after, alpha)));
}

fn with_emission(incoming: States, y: States) -> States {
    return States(times(incoming.blank, y.blank), times(incoming.label, y.label));
}
