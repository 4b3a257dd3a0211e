//! The posteriors: what the gradient is made of.

use crate::batch::Batch;
use crate::ctc::Ctc;
use crate::error::{Error, InputError};
use crate::options::{Impossible, Input, Options, Reduction, Status};

/// How probable it is that the alignment passes through a class at a frame, given the labels.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Occupancies {
    /// γ of each class at each frame, in the input's shape and layout: a frame that counts sums to 1. 0 in frames past an item's
    /// length and for an item without an alignment, NaN where nothing can be said.
    pub values: Vec<f32>,
    /// How each item went, `[N]`.
    pub status: Vec<Status>,
}

impl Ctc {
    /// The occupancies of each class (Graves et al. 2006, eq. 14 and 15), from the sweeps that the gradient comes from: as fast as
    /// [`loss_and_grad`](Self::loss_and_grad), on the same backend.
    ///
    /// Weights and the reduction do not matter. On buffers of a device they are had the same way: the gradient of a plan with
    /// [`Input::LogProbsExact`], for logits too, is −γ, and γ where each item's weight is −1.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// // Two frames over {blank, a}, equally likely: of "-a", "a-" and "aa" two pass through "a" at each frame.
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
            // The softmax multiplies all paths by the same factor at each frame, and γ is a ratio of paths.
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
            .map(|p| super::biased(*p, epsilon).ln());
        let scores: Vec<f32> = logarithms.collect();
        self.negated(&batch.clone().unweighted().with_values(&scores), &exact)
    }

    fn negated(&self, batch: &Batch<'_>, exact: &Options) -> Result<Occupancies, Error> {
        let output = self.loss_and_grad(batch, exact)?;
        let mut values = output.grad;
        for value in &mut values {
            // 0 − x and not −x: nobody expects −0.
            *value = 0.0 - *value;
        }
        Ok(Occupancies {
            values,
            status: output.status,
        })
    }
}
