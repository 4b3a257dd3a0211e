//! Detects input that contradicts the options, from the first frame of each item.

use crate::batch::CheckedBatch;
use crate::error::InputError;
use crate::options::{Input, Options};

/// The largest accepted sum of a frame's probabilities. An additional class of probability 1, as
/// torchaudio uses for a star, gives a sum of 2.
const LARGEST_SUM: f64 = 3.0;
/// The largest accepted probability. Rounding does not explain a larger one.
const LARGEST_PROBABILITY: f32 = 1.001;

/// Returns an error for raw scores passed as log-probabilities, and for log-probabilities or raw
/// scores passed as probabilities. For frames with NaN or an infinity, or whose exponentials have
/// an infinite sum, the item's status reports the error.
pub(super) fn check(checked: &CheckedBatch<'_>, options: &Options) -> Result<(), InputError> {
    let has_frames = |n: &usize| checked.logit_lengths[*n] > 0;
    for item in (0..checked.shape().items).filter(has_frames) {
        let row = checked.row(item, 0);
        match options.input {
            Input::Logits => {}
            Input::LogProbs | Input::LogProbsExact => {
                let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                if sum > LARGEST_SUM && sum < f64::INFINITY {
                    return Err(InputError::LogProbs { item, sum });
                }
            }
            Input::Probs { .. } => {
                let logarithms = row.iter().all(|p| *p <= 0.0);
                let outside =
                    |p: &f32| p.is_finite() && (*p > LARGEST_PROBABILITY || logarithms && *p < 0.0);
                if let Some(class) = row.iter().position(outside) {
                    let value = row[class];
                    return Err(InputError::Probs { item, class, value });
                }
            }
        }
    }
    Ok(())
}
