//! reduce: the losses, each with its factor, as one number; twin of `shaders/reduce.wgsl`.

/// `Σ scale[n] · loss[n]`; a factor of 0 leaves an item out, whatever its loss.
pub(crate) fn reduce(scales: &[f32], losses: &[f32]) -> f32 {
    let terms = scales
        .iter()
        .zip(losses)
        .filter(|(scale, _)| **scale != 0.0);
    let sum: f64 = terms
        .map(|(scale, loss)| f64::from(*scale) * f64::from(*loss))
        .sum();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the nearest f32 is what is wanted"
    )]
    let nearest = sum as f32;
    nearest
}
