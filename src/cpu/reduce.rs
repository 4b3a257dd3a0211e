//! reduce: the losses, each with its factor, as one number; twin of `shaders/reduce.wgsl`.

/// `Σ scale[n] · loss[n]`; a factor of 0 leaves an item out, whatever its loss.
pub(crate) fn reduce(scales: &[f32], losses: &[f32]) -> f32 {
    let terms = scales
        .iter()
        .zip(losses)
        .filter(|(scale, _)| **scale != 0.0);
    // Not `sum()`, whose start is −0.0.
    let sum = terms
        .map(|(scale, loss)| f64::from(*scale) * f64::from(*loss))
        .fold(0.0, |sum, term| sum + term);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the nearest f32 is what is wanted"
    )]
    let nearest = sum as f32;
    nearest
}

#[cfg(test)]
mod tests {
    use super::reduce;

    #[test]
    fn nothing_sums_to_0_without_a_sign() {
        let positive = |scales: &[f32], losses: &[f32]| reduce(scales, losses).to_bits() == 0;
        assert!(positive(&[], &[]));
        assert!(positive(&[0.0, -0.0], &[f32::NAN, 1.0]));
        assert!(positive(&[-1.0], &[0.0]));
    }
}
