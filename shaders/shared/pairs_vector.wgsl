// What groups of two and of four pairs have in common; pairs_4.wgsl describes the functions.

fn any_of(conditions: Bools) -> bool {
    return any(conditions);
}

fn first_pair(a: Scaled) -> ScaledNumber {
    return ScaledNumber(a.m.x, a.e.x);
}

fn component(values: Words, i: u32) -> u32 {
    return values[i];
}

fn with_component(values: Words, i: u32, value: u32) -> Words {
    var changed = values;
    changed[i] = value;
    return changed;
}
