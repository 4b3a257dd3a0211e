//! The exponential in the softmax, more finely than any tolerance of a whole loss: its polynomial's error would be a bias that
//! depends on where between two powers of 2 an argument lies.

use ctc_wgpu::{Batch, Ctc, Options, reference};

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

/// A label's logit of −16 and less, whose distance to the blank's 9e-7 f32 rounds to its distance to 0, always the same way; in the
/// frame after, the blank's is 0. What rounding took tells the two frames apart: for the reference by 4.5e-7 of occupancy.
pub(crate) fn keeps_what_rounding_took(ctc: &Ctc) {
    let items = 64;
    let logits: Vec<f32> = (0..items)
        .flat_map(|n| {
            let far = -16.0 - n as f32 / 8.0;
            [9e-7, far, -1.0, 0.0, far, -1.0]
        })
        .collect();
    let (labels, lengths) = (vec![1; items], vec![1; items]);
    let batch = Batch::new([items, 2, 3], &logits).labels(&labels, &lengths);
    let options = Options::default();
    let got = ctc.loss_and_grad(&batch, &options).unwrap().grad;
    let right = reference::loss_and_grad(&batch, &options).unwrap().grad;
    let off = |n: usize| f64::from(got[6 * n + 1]) - right[6 * n + 1];
    let mean = (0..items).map(off).sum::<f64>() / items as f64;
    assert!(mean.abs() < 1e-7, "occupancies are off by {mean:e}");
}
