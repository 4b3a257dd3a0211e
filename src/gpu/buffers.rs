//! The buffers of a loss.

use super::bindings::{Bindings, Work};
use crate::kernels::ArrayId;

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
    /// Whole buffers; set the fields for offsets.
    #[must_use]
    pub fn new(
        logits: &'a wgpu::Buffer,
        labels: &'a wgpu::Buffer,
        label_lengths: &'a wgpu::Buffer,
        loss: &'a wgpu::Buffer,
    ) -> Self {
        Self {
            logits: logits.as_entire_buffer_binding(),
            labels: labels.as_entire_buffer_binding(),
            logit_lengths: None,
            label_lengths: label_lengths.as_entire_buffer_binding(),
            weights: None,
            loss: loss.as_entire_buffer_binding(),
            grad: None,
            status: None,
            reduced: None,
        }
    }

    /// With how many frames of each item count.
    #[must_use]
    pub fn logit_lengths(self, buffer: &'a wgpu::Buffer) -> Self {
        let logit_lengths = Some(buffer.as_entire_buffer_binding());
        Self {
            logit_lengths,
            ..self
        }
    }

    /// With a weight an item.
    #[must_use]
    pub fn weights(self, buffer: &'a wgpu::Buffer) -> Self {
        let weights = Some(buffer.as_entire_buffer_binding());
        Self { weights, ..self }
    }

    /// With room for the gradient.
    #[must_use]
    pub fn grad(self, buffer: &'a wgpu::Buffer) -> Self {
        let grad = Some(buffer.as_entire_buffer_binding());
        Self { grad, ..self }
    }

    /// With the gradient in place of the input, which it overwrites.
    #[must_use]
    pub fn in_place(self) -> Self {
        let grad = Some(self.logits.clone());
        Self { grad, ..self }
    }

    /// With room for the status of each item.
    #[must_use]
    pub fn status(self, buffer: &'a wgpu::Buffer) -> Self {
        let status = Some(buffer.as_entire_buffer_binding());
        Self { status, ..self }
    }

    /// With room for the reduced loss.
    #[must_use]
    pub fn reduced(self, buffer: &'a wgpu::Buffer) -> Self {
        let reduced = Some(buffer.as_entire_buffer_binding());
        Self { reduced, ..self }
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
