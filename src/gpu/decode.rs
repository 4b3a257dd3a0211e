//! The buffers of forced alignment and of greedy decoding.

use super::bindings::{Bindings, BufferSet};
use crate::kernels::ArrayId;

/// The buffers of a forced alignment, with the rules of [`Buffers`](crate::Buffers).
///
/// A label of -1 is a [`STAR`](crate::decode::STAR). Elements beyond the frames or labels of an
/// item, and all elements of an item without a path, are -1 in `path` and 0 in the other outputs,
/// except that the `score` of an item without a path is +∞ or NaN.
#[derive(Debug, Clone)]
pub struct AlignBuffers<'a> {
    /// The input, `[N, T, C]` or `[T, N, C]`, as declared by the [`Input`](crate::Input) of the
    /// options.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N, Lmax]` padded or `[ΣL]` concatenated.
    pub labels: wgpu::BufferBinding<'a>,
    /// i32, `[N]`. By default, all frames are valid.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N]`
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// i32, `[N, T]` in either layout of the input, written: the class at each frame.
    pub path: wgpu::BufferBinding<'a>,
    /// f32, `[N, T]`, written: ln of that class's probability.
    pub log_probs: wgpu::BufferBinding<'a>,
    /// u32, `[N, Lmax, 2]`, written: the first frame of each label and the frame after its last.
    /// With [`RepeatedLabels::Collapse`](crate::RepeatedLabels::Collapse), the labels are those
    /// after collapsing.
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
            BufferSet::Align,
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

/// The buffers of greedy decoding, with the rules of [`Buffers`](crate::Buffers).
#[derive(Debug, Clone)]
pub struct GreedyBuffers<'a> {
    /// The input, `[N, T, C]` or `[T, N, C]`, as declared by the [`Input`](crate::Input) of the
    /// options.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N]`. By default, all frames are valid.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N, T]` in either layout of the input, written: the labels of each item, then -1.
    pub labels: wgpu::BufferBinding<'a>,
    /// u32, `[N]`, written: the number of labels of each item.
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// u32, `[N, T, 2]`, written: the first frame of each label and the frame after its last, then
    /// 0.
    pub frames: wgpu::BufferBinding<'a>,
    /// f32, `[N]`, written: −ln of the path's probability, in nats.
    pub score: wgpu::BufferBinding<'a>,
    /// u32, `[N]`, written: [`Status`](crate::Status)'s codes.
    pub status: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> GreedyBuffers<'a> {
    pub(super) fn bindings(&self) -> Bindings<'a> {
        Bindings::new(
            BufferSet::Greedy,
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
