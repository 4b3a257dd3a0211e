//! Alignment and greedy decoding on any backend.

use super::{Alignment, GreedyHypothesis, align, checked_with_star, greedy, unlabelled};
use crate::batch::Batch;
use crate::blocking::block_on;
use crate::ctc::Ctc;
use crate::error::Error;
use crate::gpu::PollThread;
use crate::options::Options;

impl Ctc {
    /// Computes [`decode::align`](crate::decode::align) on this backend.
    ///
    /// On a GPU each score is a sum of two f32. If the probabilities of two paths agree in eleven
    /// digits, either path may be the result. With [`Input::Probs`](crate::Input::Probs), whose
    /// logarithms are f32, this holds for paths that agree in six digits.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// // N = 1, T = 4, C = 3
    /// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0];
    /// let batch = Batch::new([1, 4, 3], &logits).labels(&[1, 2], &[2]);
    /// let alignments = Ctc::new()?.align(&batch, &Options::default())?;
    /// assert_eq!(alignments[0].path, [1, 1, 0, 2]);
    /// assert_eq!(alignments[0].spans[1].frames, 3..4);
    /// # Ok::<(), ctc_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`loss`](Self::loss), but never [`Error::Impossible`].
    pub fn align(&self, batch: &Batch<'_>, options: &Options) -> Result<Vec<Alignment>, Error> {
        block_on(self.run_align(batch, options, PollThread::Calling))
    }

    /// The awaited form of [`align`](Self::align). On the CPU backend it completes without
    /// yielding.
    ///
    /// # Errors
    /// As [`align`](Self::align), but never [`Error::Blocking`].
    pub async fn align_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<Vec<Alignment>, Error> {
        self.run_align(batch, options, PollThread::Background).await
    }

    async fn run_align(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<Alignment>, Error> {
        let Some(host) = self.host() else {
            return align(batch, options);
        };
        let checked = checked_with_star(batch, options)?;
        host.align(&checked, options, poll_thread).await
    }

    /// Computes [`decode::greedy`](crate::decode::greedy) on this backend.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// // N = 1, T = 4, C = 3
    /// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0];
    /// let decoded = Ctc::new()?.greedy(&Batch::new([1, 4, 3], &logits), &Options::default())?;
    /// assert_eq!(decoded[0].labels, [1, 2]);
    /// # Ok::<(), ctc_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`align`](Self::align).
    pub fn greedy(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        block_on(self.run_greedy(batch, options, PollThread::Calling))
    }

    /// The awaited form of [`greedy`](Self::greedy). On the CPU backend it completes without
    /// yielding.
    ///
    /// # Errors
    /// As [`align`](Self::align), but never [`Error::Blocking`].
    pub async fn greedy_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        self.run_greedy(batch, options, PollThread::Background)
            .await
    }

    async fn run_greedy(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        let Some(host) = self.host() else {
            return greedy(batch, options);
        };
        let zero_lengths = vec![0; batch.items()];
        let checked = unlabelled(batch, &zero_lengths, options)?;
        host.greedy(&checked, options, poll_thread).await
    }
}
