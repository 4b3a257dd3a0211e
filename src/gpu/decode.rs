//! The buffers of an alignment and of a greedy reading.

use super::bindings::{Bindings, Work};
use crate::kernels::ArrayId;

/// The buffers of an alignment: those that it reads are as those of a loss ([`Buffers`](crate::Buffers)), with the same rules.
///
/// A label of -1 is a [`STAR`](crate::decode::STAR). What is written past an item's frames or labels, or for an item without a path,
/// is -1 in `path` and 0 elsewhere; its `score` is +∞ or NaN.
#[derive(Debug, Clone)]
pub struct AlignBuffers<'a> {
    /// The input, `[N, T, C]` or `[T, N, C]`: what the options' [`Input`](crate::Input) says.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N, Lmax]` padded or `[ΣL]` concatenated.
    pub labels: wgpu::BufferBinding<'a>,
    /// i32, `[N]`; without it all frames count.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N]`
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// i32, `[N, T]` whatever the layout of the input, written: the class at each frame.
    pub path: wgpu::BufferBinding<'a>,
    /// f32, `[N, T]`, written: ln of that class's probability.
    pub log_probs: wgpu::BufferBinding<'a>,
    /// u32, `[N, Lmax, 2]`, written: the first frame of each label, and the one after its last. With
    /// [`RepeatedLabels::Collapse`](crate::RepeatedLabels::Collapse) labels count after the collapse.
    pub spans: wgpu::BufferBinding<'a>,
    /// f32, `[N, Lmax]`, written: the mean probability of each label over its frames.
    pub probabilities: wgpu::BufferBinding<'a>,
    /// f32, `[N]`, written: −ln of the path's probability, in nats.
    pub score: wgpu::BufferBinding<'a>,
    /// u32, `[N]`, written: [`Status`](crate::Status)'s codes.
    pub status: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> AlignBuffers<'a> {
    pub(super) fn bindings(&self) -> Bindings<'a> {
        Bindings::new(
            Work::Align,
            [
                (ArrayId::Input, &self.logits),
                (ArrayId::Labels, &self.labels),
                (ArrayId::LabelLengths, &self.label_lengths),
                (ArrayId::Path, &self.path),
                (ArrayId::LogProbs, &self.log_probs),
                (ArrayId::Spans, &self.spans),
                (ArrayId::Probabilities, &self.probabilities),
                (ArrayId::Loss, &self.score),
            ],
            [
                (ArrayId::LogitLengths, &self.logit_lengths),
                (ArrayId::Status, &self.status),
            ],
        )
    }
}

/// The buffers of a greedy reading, with the rules of [`Buffers`](crate::Buffers).
#[derive(Debug, Clone)]
pub struct GreedyBuffers<'a> {
    /// The input, `[N, T, C]` or `[T, N, C]`: what the options' [`Input`](crate::Input) says.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N]`; without it all frames count.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N, T]` whatever the layout of the input, written: what each item reads, and -1 past that.
    pub labels: wgpu::BufferBinding<'a>,
    /// u32, `[N]`, written: how many labels each item reads.
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// u32, `[N, T, 2]`, written: the first frame of each label, and the one after its last; 0 past the last label.
    pub frames: wgpu::BufferBinding<'a>,
    /// f32, `[N]`, written: −ln of the path's probability, in nats.
    pub score: wgpu::BufferBinding<'a>,
    /// u32, `[N]`, written: [`Status`](crate::Status)'s codes.
    pub status: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> GreedyBuffers<'a> {
    pub(super) fn bindings(&self) -> Bindings<'a> {
        Bindings::new(
            Work::Greedy,
            [
                (ArrayId::Input, &self.logits),
                (ArrayId::HypothesisLabels, &self.labels),
                (ArrayId::HypothesisLengths, &self.label_lengths),
                (ArrayId::HypothesisFrames, &self.frames),
                (ArrayId::Loss, &self.score),
            ],
            [
                (ArrayId::LogitLengths, &self.logit_lengths),
                (ArrayId::Status, &self.status),
            ],
        )
    }
}
