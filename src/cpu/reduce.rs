//! The reduced loss, summed in float64. `shaders/reduce.wgsl` sums in f32.

/// Returns `Σ scale[n] · loss[n]`. An item with a factor of 0 is left out, even if its loss is NaN.
pub(crate) fn reduce(scales: &[f32], losses: &[f32]) -> f32 {
    let terms = scales
        .iter()
        .zip(losses)
        .filter(|(scale, _)| **scale != 0.0);
    // `sum()` would start at −0.0.
    let sum = terms
        .map(|(scale, loss)| f64::from(*scale) * f64::from(*loss))
        .fold(0.0, |sum, term| sum + term);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounding to the nearest f32 is intended"
    )]
    let nearest = sum as f32;
    nearest
}

#[cfg(test)]
mod tests {
    use super::reduce;

    #[test]
    fn an_empty_sum_is_positive_zero() {
        let positive = |scales: &[f32], losses: &[f32]| reduce(scales, losses).to_bits() == 0;
        assert!(positive(&[], &[]));
        assert!(positive(&[0.0, -0.0], &[f32::NAN, 1.0]));
        assert!(positive(&[-1.0], &[0.0]));
    }
}
