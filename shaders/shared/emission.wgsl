// Emissions: the probabilities of the classes at a frame, relative to the most probable one, whose
// emission is exactly 1. `join` divides by the sums of the frames, which are in `row_stats`. Thus a
// frame whose most probable class has a probability near 1 causes no rounding, and small losses
// keep their digits.
//
// An emission is computed from an entry of the input. On a GPU `softmax_stats` does so once, and
// stores the result in the emission table, one word per emission.

// The emissions of entries of the input, relative to `row_max`.
fn emission(bits: Words, row_max: Floats) -> Scaled {
    let zero = Scaled(Floats(1.0), Ints(ZERO_EMISSION));
    let is_valid = finite(bits);
    let x = bitcast<Floats>(bits_where(bits, is_valid));
    if (INPUT == PROBS) {
        let y = add_epsilon(x);
        let is_positive = is_valid & (y >= Floats(MIN_PROB));
        let scaled = ratio(max(y, Floats(MIN_PROB)), row_max);
        return select_scaled(scaled, zero, is_positive);
    }
    return select_scaled(
        exp_minus_max(x, row_max),
        zero,
        is_valid & (relative_log_prob(x, row_max) > Floats(-MAX_NATS)),
    );
}

// The word of the emission table for an emission that it cannot hold: 0, or one whose exponent is
// below -125. The sweeps compute such an emission themselves.
const NOT_IN_TABLE: u32 = 0u;

// The words of the emission table for emissions: the bits of an f32, or NOT_IN_TABLE.
fn table_words(emission: Scaled) -> Words {
    return bits_where(bitcast<Words>(emission.m * exp2_int(emission.e)), emission.e >= Ints(-125));
}

// The emissions that words of the table represent. No word may be NOT_IN_TABLE.
fn from_table(words: Words) -> Scaled {
    return Scaled(
        bitcast<Floats>((words & Words(0x007fffffu)) | Words(0x3f800000u)),
        Ints(words >> Words(23u)) - Ints(127),
    );
}
