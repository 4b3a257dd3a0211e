// The recursion (Graves et al. 2006, eq. 6 to 11) on one row of states, for both directions. Twin: src/cpu/states.rs.
//
// State s = 2p is the blank before label p, state 2p + 1 is label p. Beta walks the labels from the last to the first:
// in its own order of states it obeys the same recursion, and its state s is alpha's 2L - s.

// RepeatedOutputs in src/options.rs.
override DISTINCT: bool = false;

// The label at place p of a direction's own order.
fn label_at(direction: u32, labels: u32, p: u32) -> u32 {
    return select(p, labels - 1u - p, direction == 1u);
}

// Whether the label at place p is reached from the one before it without a blank between: they differ.
fn reached(direction: u32, g: u32, labels: u32, p: u32) -> bool {
    if (p == 0u || p >= labels) {
        return false;
    }
    // The pair is the same in both orders; its flag stands at the label that is later in alpha's.
    let later = max(label_at(direction, labels, p), label_at(direction, labels, p - 1u));
    return (label_table[g * params.width + later].x & FLAG) != 0u;
}

// What leads to the blank at place p: itself and the label before.
fn paths_to_blank(blank: Scaled, before: Scaled) -> Scaled {
    return add2(blank, before);
}

// What leads to the label at place p: itself, the blank before it, and the label before where it is reached.
fn paths_to_label(label: Scaled, blank: Scaled, before: Scaled, is_reached: bool) -> Scaled {
    var own = label;
    if (DISTINCT) {
        own = scaled_zero();
    }
    var skipped = before;
    if (!is_reached) {
        skipped = scaled_zero();
    }
    return add3(own, blank, skipped);
}
