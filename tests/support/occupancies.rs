//! Occupancies of any backend against the reference's.

use ctc_wgpu::{Ctc, Impossible, Options, reference};

use super::random_case::RandomCase;

/// On random batches and every option.
pub(crate) fn hold(ctc: &Ctc) {
    for seed in 0..60 {
        let drawn = RandomCase::of(seed);
        let batch = drawn.batch.batch();
        let options = drawn.options.impossible(Impossible::Infinity);
        let expected = reference::loss_and_grad(&batch, &options).unwrap();
        let got = ctc.occupancies(&batch, &options).unwrap();
        assert_eq!(got.status, expected.status, "{}", drawn.name);
        assert_eq!(got.values.len(), expected.occupancy.len());
        for (i, (got, want)) in got.values.iter().zip(&expected.occupancy).enumerate() {
            let same = got.is_nan() && want.is_nan();
            let off = (f64::from(*got) - want).abs();
            assert!(
                same || off < 1e-5,
                "{}: γ {i} is {got}, not {want}",
                drawn.name
            );
        }
    }
}
