//! Alignment and greedy reading on whatever backend there is.

use super::{Alignment, GreedyHypothesis, align, greedy, starred, unlabelled};
use crate::batch::Batch;
use crate::blocking::block_on;
use crate::ctc::Ctc;
use crate::error::Error;
use crate::gpu::PollThread;
use crate::options::Options;

impl Ctc {
    /// [`decode::align`](crate::decode::align) on this backend.
    ///
    /// On a GPU scores are sums of two f32 each: of paths whose probabilities agree in eleven digits either may be found. Where the
    /// input is [`Input::Probs`](crate::Input::Probs) their logarithms are f32, and it is six digits.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0]; // N = 1, T = 4, C = 3
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
        block_on(self.aligned(batch, options, PollThread::Calling))
    }

    /// [`align`](Self::align), awaited. The CPU computes in the awaiting thread.
    ///
    /// # Errors
    /// As [`align`](Self::align).
    pub async fn align_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<Vec<Alignment>, Error> {
        self.aligned(batch, options, PollThread::Background).await
    }

    async fn aligned(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<Alignment>, Error> {
        let Some(host) = self.host() else {
            return align(batch, options);
        };
        let checked = starred(batch, options)?;
        host.align(&checked, options, poll_thread).await
    }

    /// [`decode::greedy`](crate::decode::greedy) on this backend.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, Options};
    /// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0]; // N = 1, T = 4, C = 3
    /// let readings = Ctc::new()?.greedy(&Batch::new([1, 4, 3], &logits), &Options::default())?;
    /// assert_eq!(readings[0].labels, [1, 2]);
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
        block_on(self.read(batch, options, PollThread::Calling))
    }

    /// [`greedy`](Self::greedy), awaited. The CPU computes in the awaiting thread.
    ///
    /// # Errors
    /// As [`align`](Self::align).
    pub async fn greedy_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        self.read(batch, options, PollThread::Background).await
    }

    async fn read(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        let Some(host) = self.host() else {
            return greedy(batch, options);
        };
        let none = vec![0; batch.items()];
        let checked = unlabelled(batch, &none, options)?;
        host.greedy(&checked, options, poll_thread).await
    }
}
