//! Tests of the exponentials in the softmax and in the emissions, finer than the tolerance of a
//! loss. An error of a polynomial would be a bias that depends on the position of an argument
//! between two powers of 2.

use ctc_wgpu::{Batch, Ctc, Options, reference};

/// Returns the mean relative error of exp(−r − k ln 2), for k = 4…11 and r in `around` ± 0.02. It
/// is computed from the gradient of a class that no path needs, which is the probability of that
/// class.
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

/// Returns the mean relative error of the emission exp(−r − k ln 2), for k = 8…15 and r in `around`
/// ± 0.02. It is computed from the occupancies of a label that is as improbable in a second frame,
/// whose r is 0.
fn emission_bias(ctc: &Ctc, around: f64) -> f64 {
    let items = 2048;
    let logits: Vec<f32> = (0..items)
        .flat_map(|n| {
            let r = around + 0.04 * (n as f64 / items as f64 - 0.5);
            let power = (8 + n % 8) as f64 * std::f64::consts::LN_2;
            [0.0, -(r + power) as f32, 0.0, -power as f32]
        })
        .collect();
    let (labels, lengths) = (vec![1; items], vec![1; items]);
    let batch = Batch::new([items, 2, 2], &logits).labels(&labels, &lengths);
    let options = Options::default();
    let got = ctc.loss_and_grad(&batch, &options).unwrap().grad;
    let right = reference::loss_and_grad(&batch, &options).unwrap().grad;
    let errors = got.chunks(4).zip(right.chunks(4)).zip(logits.chunks(4));
    let errors = errors.map(|((got, right), logits)| {
        // The derivative of the first frame's occupancy with respect to the emission's logarithm.
        let odds = (f64::from(logits[1]) - f64::from(logits[3])).exp();
        let derivative = odds / (1.0 + odds) / (1.0 + odds);
        (right[1] - f64::from(got[1])) / derivative
    });
    errors.sum::<f64>() / items as f64
}

/// Checks that the bias at the ends of the polynomials' range equals that in the middle. Other
/// errors of a driver, as of a quotient, are the same at both.
pub(crate) fn is_unbiased(ctc: &Ctc) {
    for (what, bias) in [
        ("softmax", bias as fn(&Ctc, f64) -> f64),
        ("emission", emission_bias),
    ] {
        let middle = bias(ctc, 0.0);
        for end in [-0.32, 0.32] {
            let off = bias(ctc, end) - middle;
            assert!(
                off.abs() < 4e-8,
                "{what}: exp is off by {off:e} at {end}, beside 0"
            );
        }
    }
}

/// Checks that the rounding error of a difference is compensated. In the first frame, the logit of
/// the blank is 9e-7, and the label's is −16 or less, so that f32 always rounds their difference to
/// the label's logit. In the second frame, the logit of the blank is 0. Only the rounding error
/// distinguishes the frames: the reference's occupancies differ by 4.5e-7.
pub(crate) fn compensates_rounding(ctc: &Ctc) {
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
