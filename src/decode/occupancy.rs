//! The posteriors of the classes, computed as a gradient.

use crate::batch::Batch;
use crate::ctc::Ctc;
use crate::error::{Error, InputError};
use crate::options::{Impossible, Input, Options, Reduction, Status};

/// The posterior probability of each class at each frame, given the labels.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Occupancies {
    /// γ of each class at each frame, in the input's shape and layout. A valid frame sums to 1.
    /// Frames past an item's length, and all frames of an item without a valid alignment, are 0.
    /// The valid frames of an item with status `NotFinite` are NaN.
    pub values: Vec<f32>,
    /// The status of each item, `[N]`.
    pub status: Vec<Status>,
}

impl Ctc {
    /// Computes the occupancies of each class (Graves et al. 2006, eq. 14 and 15) in the same way
    /// as the gradient: as fast as [`loss_and_grad`](Self::loss_and_grad), on the same backend.
    ///
    /// Weights and the reduction have no effect. Logits are read as log-probabilities. This does
    /// not change γ, but the limit of log-probabilities applies: a logit above 88 makes its item
    /// `NotFinite`. On buffers of a device, use the gradient of a plan with
    /// [`Input::LogProbsExact`], for logits too: it is −γ, or γ if each item's weight is −1.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// // Two frames over {blank, a}. The paths of the label a are "-a", "a-" and "aa". At each
    /// // frame two of the three are in class a.
    /// let batch = Batch::new([1, 2, 2], &[0.0; 4]).labels(&[1], &[1]);
    /// let occupancies = Ctc::cpu().occupancies(&batch, &Options::default())?;
    /// for (got, thirds) in occupancies.values.iter().zip([1.0, 2.0, 1.0, 2.0]) {
    ///     assert!((got - thirds / 3.0).abs() < 1e-6);
    /// }
    /// # Ok::<(), ctc_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`loss`](Self::loss), but never [`Error::Impossible`].
    pub fn occupancies(&self, batch: &Batch<'_>, options: &Options) -> Result<Occupancies, Error> {
        let exact = Options {
            // The softmax scales all paths by one factor per frame, which cancels in γ: it is a
            // ratio of two sums over paths.
            input: Input::LogProbsExact,
            reduction: Reduction::None,
            impossible: Impossible::Infinity,
            ..*options
        };
        let Input::Probs { epsilon } = options.input else {
            return self.negated(&batch.clone().unweighted(), &exact);
        };
        crate::batch::check_epsilon(options.input).map_err(InputError::from)?;
        let logarithms = batch
            .values()
            .iter()
            .map(|p| super::add_epsilon(*p, epsilon).ln());
        let scores: Vec<f32> = logarithms.collect();
        self.negated(&batch.clone().unweighted().with_values(&scores), &exact)
    }

    /// Returns γ: the negated gradient with the options `exact`, which select the true derivative.
    fn negated(&self, batch: &Batch<'_>, exact: &Options) -> Result<Occupancies, Error> {
        let output = self.loss_and_grad(batch, exact)?;
        let mut values = output.grad;
        for value in &mut values {
            // 0 − x rather than −x, which would return −0.
            *value = 0.0 - *value;
        }
        Ok(Occupancies {
            values,
            status: output.status,
        })
    }
}
