// The carry of the last dispatch of an outward sweep, which stores nothing in it. It is only read,
// so that `join`, which reads it too, may run at the same time.
@group(0) @binding(7) var<storage, read> carry: array<Words>;

fn store_carry(row: u32, assignment: Assignment, group: u32, states: States) {}

fn store_reference(assignment: Assignment) {}
