//! The caller's buffers, and the checks that they fit a plan.

use crate::error::BufferError;
use crate::kernels::{Sharing, Slot};
use crate::limits::Limits;
use crate::options::Reduction;
use crate::plan::{Goal, Plan};
use crate::problem::LabelLayout;

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
    /// `[1]`, written: the number that the options' [`Reduction`] asks for.
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

    /// The buffer of a slot, if the caller gave one.
    pub(super) fn get(&self, slot: Slot) -> Option<&wgpu::BufferBinding<'a>> {
        match slot {
            Slot::Input => Some(&self.logits),
            Slot::Labels => Some(&self.labels),
            Slot::LogitLengths => self.logit_lengths.as_ref(),
            Slot::LabelLengths => Some(&self.label_lengths),
            Slot::Weights => self.weights.as_ref(),
            Slot::Loss => Some(&self.loss),
            Slot::Status => self.status.as_ref(),
            Slot::Reduced => self.reduced.as_ref(),
            Slot::Grad => self.grad.as_ref(),
            _ => None,
        }
    }

    /// Whether the gradient lies where the input does.
    pub(super) fn is_in_place(&self) -> bool {
        self.grad.as_ref().is_some_and(|grad| {
            grad.buffer == self.logits.buffer && grad.offset == self.logits.offset
        })
    }

    /// Whether two of them lie in one `wgpu::Buffer`.
    pub(super) fn sharing(&self) -> Sharing {
        let twice = |slot: &Slot| *slot == Slot::Grad && self.is_in_place();
        let slots = SLOTS.iter().filter(|slot| !twice(slot));
        let given: Vec<_> = slots.filter_map(|slot| self.get(*slot)).collect();
        let shared = |(i, a): (usize, &&wgpu::BufferBinding<'_>)| {
            given[..i].iter().any(|b| a.buffer == b.buffer)
        };
        if given.iter().enumerate().any(shared) {
            Sharing::Together
        } else {
            Sharing::Apart
        }
    }

    /// Checks every range against `plan`.
    pub(super) fn check(&self, plan: &Plan, limits: &Limits) -> Result<(), BufferError> {
        let alignment = limits.offset_alignment.into();
        match (plan.goal(), &self.grad) {
            (Goal::LossAndGrad, None) => {
                let why = "the plan computes the gradient; GpuCtc::plan_loss does not";
                return Err(BufferError::Missing {
                    buffer: "grad",
                    why,
                });
            }
            (Goal::Loss, Some(_)) => {
                let why = "the plan computes no gradient; GpuCtc::plan does";
                return Err(BufferError::Unexpected {
                    buffer: "grad",
                    why,
                });
            }
            _ => {}
        }
        if self.reduced.is_some() && plan.options().reduction == Reduction::None {
            let why = "the plan's options have Reduction::None";
            let buffer = "reduced";
            return Err(BufferError::Unexpected { buffer, why });
        }
        for slot in SLOTS {
            if let Some(binding) = self.get(slot) {
                check_range(slot.name(), binding, needed(plan, slot), alignment)?;
            }
        }
        let (got, most) = (extent(plan, Slot::Labels, &self.labels), limits.max_binding);
        if plan.shape().label_layout == LabelLayout::Concatenated && got > most {
            let buffer = Slot::Labels.name();
            return Err(BufferError::TooLarge { buffer, got, most });
        }
        self.check_overlaps(plan)
    }

    fn check_overlaps(&self, plan: &Plan) -> Result<(), BufferError> {
        for written in [Slot::Loss, Slot::Status, Slot::Reduced, Slot::Grad] {
            let Some(out) = self.get(written) else {
                continue;
            };
            let bytes = extent(plan, written, out);
            let end = out.offset + bytes;
            for slot in SLOTS {
                let same = slot == written
                    || (written, slot) == (Slot::Grad, Slot::Input) && self.is_in_place();
                let Some(other) = self.get(slot).filter(|_| !same) else {
                    continue;
                };
                let other_bytes = extent(plan, slot, other);
                let other_end = other.offset + other_bytes;
                // Without elements a range is nowhere: what stands in for it is bound.
                let apart = out.buffer != other.buffer || bytes == 0 || other_bytes == 0;
                if !apart && out.offset < other_end && other.offset < end {
                    return Err(BufferError::Overlap {
                        first: written.name(),
                        second: slot.name(),
                    });
                }
            }
        }
        Ok(())
    }
}

const SLOTS: [Slot; 9] = [
    Slot::Input,
    Slot::Labels,
    Slot::LogitLengths,
    Slot::LabelLengths,
    Slot::Weights,
    Slot::Loss,
    Slot::Status,
    Slot::Reduced,
    Slot::Grad,
];

/// The bytes of a slot that the plan's shape asks for.
pub(super) fn needed(plan: &Plan, slot: Slot) -> u64 {
    let shape = plan.shape();
    let words = match slot {
        Slot::Input | Slot::Grad => shape.bytes().div_ceil(4),
        Slot::Labels => match shape.label_layout {
            LabelLayout::Padded => shape.items * shape.max_labels,
            LabelLayout::Concatenated => 0,
        },
        Slot::Reduced => 1,
        _ => shape.items,
    };
    words as u64 * 4
}

/// The bytes of a slot that kernels may touch: of concatenated labels all that there are.
fn extent(plan: &Plan, slot: Slot, binding: &wgpu::BufferBinding<'_>) -> u64 {
    if slot == Slot::Labels && plan.shape().label_layout == LabelLayout::Concatenated {
        let rest = binding.buffer.size().saturating_sub(binding.offset);
        return binding.size.map_or(rest, |size| size.get().min(rest));
    }
    needed(plan, slot)
}

fn check_range(
    buffer: &'static str,
    binding: &wgpu::BufferBinding<'_>,
    needs: u64,
    alignment: u64,
) -> Result<(), BufferError> {
    let offset = binding.offset;
    if !binding.buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
        return Err(BufferError::Usage { buffer });
    }
    if !offset.is_multiple_of(alignment) {
        return Err(BufferError::Unaligned {
            buffer,
            offset,
            alignment,
        });
    }
    let rest = binding.buffer.size().saturating_sub(offset);
    let got = binding.size.map_or(rest, |size| size.get().min(rest));
    if got < needs {
        return Err(BufferError::TooSmall {
            buffer,
            offset,
            got,
            needs,
        });
    }
    Ok(())
}
