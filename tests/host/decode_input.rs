//! Decoders reject input that contradicts the options.

use ctc_wgpu::decode::{self, BeamOptions};
use ctc_wgpu::{Batch, Ctc, Error, Input, InputError, Options};

fn of(input: Input) -> Options {
    Options::default().input(input)
}

/// Returns the error of each decoding function, for one item of three frames and four classes.
fn errors(values: &[f32; 12], options: &Options) -> Vec<Option<Error>> {
    let batch = Batch::new([1, 3, 4], values).labels(&[1], &[1]);
    let ctc = Ctc::cpu();
    vec![
        decode::align(&batch, options).err(),
        decode::greedy(&batch, options).err(),
        decode::beam(&batch, options, &BeamOptions::default()).err(),
        ctc.align(&batch, options).err(),
        ctc.greedy(&batch, options).err(),
    ]
}

#[test]
fn raw_scores_are_rejected_as_log_probabilities() {
    for input in [Input::LogProbs, Input::LogProbsExact] {
        for error in errors(&[2.0; 12], &of(input)) {
            assert!(
                matches!(error, Some(Error::Input(InputError::LogProbs { item: 0, sum })) if (sum - 29.556).abs() < 1e-3),
                "{error:?}"
            );
        }
        let uniform = [0.25_f32.ln(); 12];
        assert!(errors(&uniform, &of(input)).iter().all(Option::is_none));
    }
    let message = InputError::LogProbs {
        item: 3,
        sum: 29.5562,
    };
    assert_eq!(
        message.to_string(),
        "item 3: the exponentials of its first frame's log-probabilities sum to 29.5562, not to 1: apply log_softmax, or pass raw scores as logits"
    );
}

#[test]
fn logarithms_and_raw_scores_are_rejected_as_probabilities() {
    let options = of(Input::Probs { epsilon: 1e-7 });
    for (values, class) in [
        ([0.25_f32.ln(); 12], 0),
        ([0.5, 0.5, 3.0, 0.0].repeat(3).try_into().unwrap(), 2),
    ] {
        for error in errors(&values, &options) {
            assert!(
                matches!(error, Some(Error::Input(InputError::Probs { item: 0, class: at, .. })) if at == class),
                "{error:?}"
            );
        }
    }
    assert!(errors(&[0.25; 12], &options).iter().all(Option::is_none));
}

#[test]
fn frames_past_the_length_are_ignored() {
    let values = [2.0; 12];
    let batch = Batch::new([1, 3, 4], &values).logit_lengths(&[0]);
    assert!(decode::greedy(&batch, &of(Input::LogProbs)).is_ok());
}

#[test]
fn a_smallest_probability_is_between_0_and_1() {
    let batch = Batch::new([1, 3, 4], &[0.0; 12]);
    for value in [-0.1, 1.5, 2.0, f64::NAN, f64::INFINITY] {
        let beam = BeamOptions::default().min_probability(value);
        let error = decode::beam(&batch, &Options::default(), &beam).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("min_probability {value} is out of range: expected 0 to 1")
        );
    }
}
