//! The buffers of a loss.

use super::bindings::{Bindings, Work};
use crate::kernels::ArrayId;
use crate::setters::buffer_setters;

/// The buffers that a plan reads and writes, each as a buffer, an offset and a size.
///
/// All hold 4-byte words: `logits` and `grad` f32 in the shape's layout (or f16, two in a word, if the shape says so),
/// `labels` and the lengths i32, `weights`, `loss`
/// and `reduced` f32, `status` u32 ([`Status`](crate::Status)'s codes). Several may lie in one `wgpu::Buffer`, as long
/// as no output overlaps another range, but that `grad` may be the range of `logits`. Offsets keep to the device's `min_storage_buffer_offset_alignment`. Each
/// buffer needs `BufferUsages::STORAGE`. Bytes past what the shape needs are left alone.
///
/// What stands in labels and lengths is not checked on the host: an item with a bad one gets a NaN loss, gradient 0 and
/// its [`Status`](crate::Status), and the others are computed as ever.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Buffers<'a> {
    /// The input, `[N, T, C]` or `[T, N, C]`: what the options' [`Input`](crate::Input) says.
    pub logits: wgpu::BufferBinding<'a>,
    /// `[N, Lmax]` padded or `[ΣL]` concatenated; for concatenated labels the size says where they end.
    pub labels: wgpu::BufferBinding<'a>,
    /// `[N]`; without it all frames count.
    pub logit_lengths: Option<wgpu::BufferBinding<'a>>,
    /// `[N]`
    pub label_lengths: wgpu::BufferBinding<'a>,
    /// `[N]`; without it each is 1.
    pub weights: Option<wgpu::BufferBinding<'a>>,
    /// `[N]`, written.
    pub loss: wgpu::BufferBinding<'a>,
    /// As `logits`, written; every element of it.
    pub grad: Option<wgpu::BufferBinding<'a>>,
    /// `[N]`, written.
    pub status: Option<wgpu::BufferBinding<'a>>,
    /// `[1]`, written: the number that the options' [`Reduction`](crate::Reduction) asks for.
    pub reduced: Option<wgpu::BufferBinding<'a>>,
}

impl<'a> Buffers<'a> {
    /// Creates the bindings of whole buffers; the setters add the optional ones. Assign the fields to
    /// bind ranges of buffers.
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

    /// With the gradient in place of the input, which it overwrites.
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
            Work::Loss,
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
