// The recursion (Graves et al. 2006, eq. 6 to 11) on a quad of four places, for both directions. Twin: src/cpu/states.rs.
//
// Place p is the blank before label p and label p; both directions count places from the first label on. A quad takes
// one scaled float from the quad beside it: alpha the last label of the quad before, beta what the first place of the
// quad after offers. Written as selections, not branches: both directions cost the same, and a lane is never masked.

// RepeatedOutputs in src/options.rs.
override DISTINCT: bool = false;

// A row of states at four places.
struct States {
    blank: Scaled,
    label: Scaled,
}

// What a quad is: its places that have a blank and a label, whether each label is reached from the label before it
// without a blank between, and the column of the input for each label.
struct Quad {
    q: u32,
    blanks: vec4<bool>,
    labels: vec4<bool>,
    reached: vec4<bool>,
    columns: vec4<u32>,
}

override GATHERED: bool = false;

// What passes between two quads.
struct Edge {
    m: f32,
    e: i32,
}

fn no_edge() -> Edge {
    return Edge(1.0, ZERO);
}

fn label_word(g: u32, labels: u32, i: u32) -> u32 {
    if (i < labels) {
        return label_table[g * params.label_capacity + i].x;
    }
    return params.blank;
}

fn quad_of(g: u32, labels: u32, q: u32) -> Quad {
    let first = 4u * q;
    let places = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    let words = vec4<u32>(
        label_word(g, labels, places.x),
        label_word(g, labels, places.y),
        label_word(g, labels, places.z),
        label_word(g, labels, places.w),
    );
    let reached = ((words & vec4<u32>(FLAG)) != vec4<u32>(0u)) & (places > vec4<u32>(0u));
    var columns = words & vec4<u32>(~FLAG);
    if (GATHERED) {
        columns = min(places + 1u, vec4<u32>(labels));
    }
    return Quad(q, places <= vec4<u32>(labels), places < vec4<u32>(labels), reached, columns);
}

// Before its first frame a direction has all of the probability in one place, in front of its first blank.
fn first_states(direction: u32, labels: u32, q: u32) -> States {
    let first = 4u * q;
    let places = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    let start = select(labels, 0u, direction == 0u);
    return States(either(scaled_one(), scaled_zero(), places == vec4<u32>(start)), scaled_zero());
}

// What leads to a label from the blank before it, and from the label before that where it is reached.
fn via(blank: Scaled, both: Scaled, quad: Quad) -> Scaled {
    return either(both, blank, quad.reached);
}

fn offer(direction: u32, states: States, quad: Quad) -> Edge {
    let a = via(states.blank, plus(states.blank, states.label), quad);
    let alpha = direction == 0u;
    return Edge(select(a.m.x, states.label.m.w, alpha), select(a.e.x, states.label.e.w, alpha));
}

// What leads to each state at the next frame, its emission not yet counted.
fn paths(direction: u32, states: States, edge: Edge, quad: Quad) -> States {
    let alpha = vec4<bool>(direction == 0u);
    let label = states.label;
    let before = Scaled(vec4<f32>(edge.m, label.m.xyz), vec4<i32>(edge.e, label.e.xyz));
    let into_blank = plus(states.blank, either(before, label, alpha));
    let a = via(states.blank, into_blank, quad);
    let after = Scaled(vec4<f32>(a.m.yzw, edge.m), vec4<i32>(a.e.yzw, edge.e));
    var own = label;
    if (DISTINCT) {
        own = scaled_zero();
    }
    return States(into_blank, plus(own, either(a, after, alpha)));
}

fn emitted(into: States, y: States) -> States {
    return States(times(into.blank, y.blank), times(into.label, y.label));
}
