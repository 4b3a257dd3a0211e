//! The buffers of a loss.

use super::bindings::{Bindings, BufferSet};
use crate::kernels::ArrayId;
use crate::setters::buffer_setters;

/// The buffers that a plan for losses reads and writes, each as a buffer, an offset and a size.
///
/// All hold 4-byte words: `logits` and `grad` are f32 in the shape's layout (or f16, two per word,
/// if the shape has f16), `labels` and the lengths i32, `weights`, `loss` and `reduced` f32, and
/// `status` u32 ([`Status`](crate::Status)'s codes). Several arrays may be in one `wgpu::Buffer`,
/// as long as no output overlaps another array; only `grad` may be the same range as `logits`.
/// Offsets must be multiples of the device's `min_storage_buffer_offset_alignment`. Each buffer
/// needs `BufferUsages::STORAGE`. Bytes beyond the size that the shape requires are not written.
///
/// The contents of labels and lengths are checked on the device: an item with an invalid one gets a
/// NaN loss, a gradient of 0 and its [`Status`](crate::Status). Other items are unaffected.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Buffers<'a> {
    /// f32 (or f16), `[N, T, C]` or `[T, N, C]`: the input, of the kind that the
    /// [`Input`](crate::Input) of the options declares.
    pub logits: wgpu::BufferBinding<'a>,
    /// i32, `[N, Lmax]` padded or `[ΣL]` concatenated. Concatenated labels end where the binding
    /// ends.
    pub labels: wgpu::BufferBinding<'a>,
    /// i32, `[N]`. By default, all frames are valid.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// i32, `[N]`.
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// f32, `[N]`. By default, each is 1.
    pub weights: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[N]`, written, in nats.
    pub loss: wgpu::BufferBinding<'a>,
    /// Same type and shape as `logits`, written in full. Required for a plan of
    /// [`GpuCtc::plan`](crate::GpuCtc::plan), and an error for one of
    /// [`GpuCtc::plan_loss`](crate::GpuCtc::plan_loss).
    pub grad: Option<wgpu::BufferBinding<'a>>,
    /// u32, `[N]`, written: the codes of [`Status`](crate::Status).
    pub status: Option<wgpu::BufferBinding<'a>>,
    /// f32, `[1]`, written: the loss reduced by the [`Reduction`](crate::Reduction) of the options.
    /// An error for [`Reduction::None`](crate::Reduction::None).
    pub reduced: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> Buffers<'a> {
    /// Creates the bindings of whole buffers; the setters add the optional ones. Assign the fields
    /// to bind ranges of buffers.
    #[must_use]
    pub fn new(
        logits: &'a wgpu::Buffer,
        labels: &'a wgpu::Buffer,
        label_lengths: &'a wgpu::Buffer,
        loss: &'a wgpu::Buffer,
    ) -> Self {
        Self::from_bindings(
            logits.as_entire_buffer_binding(),
            labels.as_entire_buffer_binding(),
            label_lengths.as_entire_buffer_binding(),
            loss.as_entire_buffer_binding(),
        )
    }

    /// Creates the bindings of ranges of buffers.
    #[must_use]
    pub fn from_bindings(
        logits: wgpu::BufferBinding<'a>,
        labels: wgpu::BufferBinding<'a>,
        label_lengths: wgpu::BufferBinding<'a>,
        loss: wgpu::BufferBinding<'a>,
    ) -> Self {
        Self {
            logits,
            labels,
            logit_lengths: None,
            label_lengths,
            weights: None,
            loss,
            grad: None,
            status: None,
            reduced: None,
        }
    }

    /// Binds `logits` as `grad` too, so that the gradient overwrites the input.
    #[must_use]
    pub fn in_place(self) -> Self {
        let grad = Some(self.logits.clone());
        Self { grad, ..self }
    }

    pub(super) fn bindings(&self) -> Bindings<'a> {
        let optional = [
            (ArrayId::LogitLengths, &self.logit_lengths),
            (ArrayId::Weights, &self.weights),
            (ArrayId::Status, &self.status),
            (ArrayId::Reduced, &self.reduced),
            (ArrayId::Grad, &self.grad),
        ];
        Bindings::new(
            BufferSet::Loss,
            [
                (ArrayId::Input, &self.logits),
                (ArrayId::Labels, &self.labels),
                (ArrayId::LabelLengths, &self.label_lengths),
                (ArrayId::Loss, &self.loss),
            ],
            optional,
        )
    }
}

buffer_setters!(Buffers {
    logit_lengths,
    weights,
    grad,
    status,
    reduced,
});
