//! The buffers of forced alignment and of greedy decoding.

use super::bindings::{Bindings, BufferSet};
use crate::kernels::ArrayId;
use crate::setters::buffer_setters;

/// The buffers of a forced alignment, with the rules of [`Buffers`](crate::Buffers).
///
/// A label of -1 is a [`STAR`](crate::decode::STAR). Elements beyond the frames or labels of an
/// item, and all elements of an item without a path, are -1 in `path` and 0 in the other outputs,
/// except that the `path_log_prob` of an item without a path is −∞ or NaN.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlignBuffers<'a> {
    /// f32 (or f16), `[N, T, C]` or `[T, N, C]`: the input, of the kind that the
    /// [`Input`](crate::Input) of the options declares.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N, Lmax]` padded or `[ΣL]` concatenated.
    pub labels: wgpu::BufferBinding<'a>,
    /// i32, `[N]`. By default, all frames are valid.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N]`.
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// i32, `[N, T]` in either layout of the input, written: the class at each frame. Required.
    pub path: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[N, T]`, written: ln of that class's probability. Required.
    pub log_probs: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N, Lmax, 2]`, written: the first frame of each label, and the frame after its last.
    /// With [`RepeatedLabels::Collapse`](crate::RepeatedLabels::Collapse) labels are counted after
    /// the collapse. Required.
    pub spans: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[N, Lmax]`, written: the mean probability of each label over its frames. Required.
    pub probabilities: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[N]`, written: ln of the path's probability. Required.
    pub path_log_prob: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N]`, written: the codes of [`Status`](crate::Status).
    pub status: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> AlignBuffers<'a> {
    /// Creates the bindings of whole input buffers; the setters add the others. Assign the fields
    /// to bind ranges of buffers.
    #[must_use]
    pub fn new(
        logits: &'a wgpu::Buffer,
        labels: &'a wgpu::Buffer,
        label_lengths: &'a wgpu::Buffer,
    ) -> Self {
        Self::from_bindings(
            logits.as_entire_buffer_binding(),
            labels.as_entire_buffer_binding(),
            label_lengths.as_entire_buffer_binding(),
        )
    }

    /// Creates the bindings of ranges of buffers.
    #[must_use]
    pub fn from_bindings(
        logits: wgpu::BufferBinding<'a>,
        labels: wgpu::BufferBinding<'a>,
        label_lengths: wgpu::BufferBinding<'a>,
    ) -> Self {
        Self {
            logits,
            labels,
            logit_lengths: None,
            label_lengths,
            path: None,
            log_probs: None,
            spans: None,
            probabilities: None,
            path_log_prob: None,
            status: None,
        }
    }

    pub(super) fn bindings(&self) -> Bindings<'a> {
        Bindings::new(
            BufferSet::Align,
            [
                (ArrayId::Input, &self.logits),
                (ArrayId::Labels, &self.labels),
                (ArrayId::LabelLengths, &self.label_lengths),
            ],
            [
                (ArrayId::LogitLengths, &self.logit_lengths),
                (ArrayId::Path, &self.path),
                (ArrayId::LogProbs, &self.log_probs),
                (ArrayId::Spans, &self.spans),
                (ArrayId::Probabilities, &self.probabilities),
                (ArrayId::Loss, &self.path_log_prob),
                (ArrayId::Status, &self.status),
            ],
        )
    }
}

buffer_setters!(AlignBuffers {
    logit_lengths,
    path,
    log_probs,
    spans,
    probabilities,
    path_log_prob,
    status,
});

/// The buffers of greedy decoding, with the rules of [`Buffers`](crate::Buffers).
///
/// An item with a status other than `Ok` has no labels, and its `path_log_prob` is NaN.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GreedyBuffers<'a> {
    /// f32 (or f16), `[N, T, C]` or `[T, N, C]`: the input, of the kind that the
    /// [`Input`](crate::Input) of the options declares.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N]`. By default, all frames are valid.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N, T]` in either layout of the input, written: the decoded labels of each item,
    /// then -1. Required.
    pub labels: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N]`, written: the number of decoded labels of each item. Required.
    pub label_lengths: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N, T, 2]`, written: the first frame of each label, and the frame after its last; 0
    /// past the last label. Required.
    pub frames: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[N]`, written: ln of the path's probability. Required.
    pub path_log_prob: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N]`, written: the codes of [`Status`](crate::Status).
    pub status: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> GreedyBuffers<'a> {
    /// Creates the binding of a whole input buffer; the setters add the others. Assign the fields
    /// to bind ranges of buffers.
    #[must_use]
    pub fn new(logits: &'a wgpu::Buffer) -> Self {
        Self::from_bindings(logits.as_entire_buffer_binding())
    }

    /// Creates the binding of a range of a buffer.
    #[must_use]
    pub fn from_bindings(logits: wgpu::BufferBinding<'a>) -> Self {
        Self {
            logits,
            logit_lengths: None,
            labels: None,
            label_lengths: None,
            frames: None,
            path_log_prob: None,
            status: None,
        }
    }

    pub(super) fn bindings(&self) -> Bindings<'a> {
        Bindings::new(
            BufferSet::Greedy,
            [(ArrayId::Input, &self.logits)],
            [
                (ArrayId::LogitLengths, &self.logit_lengths),
                (ArrayId::HypothesisLabels, &self.labels),
                (ArrayId::HypothesisLengths, &self.label_lengths),
                (ArrayId::HypothesisFrames, &self.frames),
                (ArrayId::Loss, &self.path_log_prob),
                (ArrayId::Status, &self.status),
            ],
        )
    }
}

buffer_setters!(GreedyBuffers {
    logit_lengths,
    labels,
    label_lengths,
    frames,
    path_log_prob,
    status,
});
