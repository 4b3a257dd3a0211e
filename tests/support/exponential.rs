//! The exponential in the softmax, more finely than any tolerance of a whole loss: its polynomial's error would be a bias that
//! depends on where between two powers of 2 an argument lies.

use ctc_wgpu::{Batch, Ctc, Options};

/// The mean relative error of exp(−r − k ln 2), k = 4…11, over `around` ± 0.02 for r, read from the gradient of a class that no path
/// needs: its probability.
fn bias(ctc: &Ctc, around: f64) -> f64 {
    let frames = 2048;
    let logits: Vec<f32> = (0..frames)
        .flat_map(|t| {
            let r = around + 0.04 * (t as f64 / frames as f64 - 0.5);
            let k = 4 + t % 8;
            [0.0, -(r + k as f64 * std::f64::consts::LN_2) as f32]
        })
        .collect();
    let batch = Batch::new([1, frames, 2], &logits).labels(&[], &[0]);
    let grad = ctc.loss_and_grad(&batch, &Options::default()).unwrap().grad;
    let errors = grad.chunks(2).zip(logits.chunks(2)).map(|(grad, logits)| {
        let exp = f64::from(logits[1]).exp();
        f64::from(grad[1]) / (exp / (1.0 + exp)) - 1.0
    });
    errors.sum::<f64>() / frames as f64
}

/// The polynomial is no worse at the ends of its range than in the middle. What else a driver does to a quotient is the same at
/// both.
pub(crate) fn hold(ctc: &Ctc) {
    let middle = bias(ctc, 0.0);
    for end in [-0.32, 0.32] {
        let off = bias(ctc, end) - middle;
        assert!(off.abs() < 4e-8, "exp is off by {off:e} at {end}, beside 0");
    }
}
