// Functions that are the same for groups of two and of four pairs.

fn any_of(conditions: Bools) -> bool {
    return any(conditions);
}

fn pair_of(a: Scaled, i: u32) -> ScaledNumber {
    return ScaledNumber(a.m[i], a.e[i]);
}

fn component(values: Words, i: u32) -> u32 {
    return values[i];
}

fn with_component(values: Words, i: u32, value: u32) -> Words {
    var changed = values;
    changed[i] = value;
    return changed;
}
