//! Input that is plainly not what the options say: the decoders look at each item's first frame before they run.

use crate::batch::CheckedBatch;
use crate::error::InputError;
use crate::options::{Input, Options};

/// A class of probability 1 beside the others, as torchaudio has it for a star, makes a sum of 2.
const MOST_SUM: f64 = 3.0;
/// Above this a probability is not one by rounding.
const MOST: f32 = 1.001;

/// Refuses raw scores given as log-probabilities, and log-probabilities or raw scores given as probabilities. Frames with
/// NaN or an infinity are for the item's status.
pub(super) fn check(checked: &CheckedBatch<'_>, options: &Options) -> Result<(), InputError> {
    let counts = |n: &usize| checked.logit_lengths[*n] > 0;
    for item in (0..checked.shape().items).filter(counts) {
        let row = checked.row(item, 0);
        match options.input {
            Input::Logits => {}
            Input::LogProbs | Input::LogProbsExact => {
                let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                if sum > MOST_SUM && sum < f64::INFINITY {
                    return Err(InputError::LogProbs { item, sum });
                }
            }
            Input::Probs { .. } => {
                let logarithms = row.iter().all(|p| *p <= 0.0);
                let outside = |p: &f32| p.is_finite() && (*p > MOST || logarithms && *p < 0.0);
                if let Some(class) = row.iter().position(outside) {
                    let value = row[class];
                    return Err(InputError::Probs { item, class, value });
                }
            }
        }
    }
    Ok(())
}
