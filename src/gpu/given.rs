//! What a caller gave to a plan, whatever it computes, and the checks that it fits.

use crate::error::BufferError;
use crate::kernels::{Sharing, Slot};
use crate::limits::Limits;
use crate::options::Reduction;
use crate::plan::{Goal, Plan};
use crate::problem::LabelLayout;

/// What buffers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Loss,
    Align,
    Greedy,
}

impl Work {
    fn of(goal: Goal) -> Self {
        match goal {
            Goal::Loss | Goal::LossAndGrad => Self::Loss,
            Goal::Align => Self::Align,
            Goal::Greedy => Self::Greedy,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "a loss",
            Self::Align => "an alignment",
            Self::Greedy => "a greedy reading",
        }
    }
}

/// Each buffer with what it is, in the order of the slots.
pub(super) struct Given<'a> {
    work: Work,
    bindings: Vec<(Slot, wgpu::BufferBinding<'a>)>,
}

impl<'a> Given<'a> {
    pub(super) fn new<'b, const N: usize, const M: usize>(
        work: Work,
        needed: [(Slot, &'b wgpu::BufferBinding<'a>); N],
        optional: [(Slot, &'b Option<wgpu::BufferBinding<'a>>); M],
    ) -> Self
    where
        'a: 'b,
    {
        let needed = needed.map(|(slot, binding)| (slot, binding.clone()));
        let optional = optional
            .into_iter()
            .filter_map(|(slot, binding)| Some((slot, binding.clone()?)));
        let mut bindings: Vec<_> = needed.into_iter().chain(optional).collect();
        bindings.sort_by_key(|(slot, _)| *slot);
        Self { work, bindings }
    }

    /// The buffer of a slot, if the caller gave one.
    pub(super) fn get(&self, slot: Slot) -> Option<&wgpu::BufferBinding<'a>> {
        let mut bindings = self.bindings.iter();
        bindings.find_map(|(known, binding)| (*known == slot).then_some(binding))
    }

    /// Whether the gradient lies where the input does.
    pub(super) fn is_in_place(&self) -> bool {
        let both = self.get(Slot::Grad).zip(self.get(Slot::Input));
        both.is_some_and(|(grad, logits)| {
            grad.buffer == logits.buffer && grad.offset == logits.offset
        })
    }

    /// Whether two of them lie in one `wgpu::Buffer`.
    pub(super) fn sharing(&self) -> Sharing {
        let in_place = self.is_in_place();
        let bindings = self.bindings.iter();
        let given: Vec<_> = bindings
            .filter(|(slot, _)| !(*slot == Slot::Grad && in_place))
            .collect();
        let shared = |(i, (_, a)): (usize, &&(Slot, wgpu::BufferBinding<'_>))| {
            given[..i].iter().any(|(_, b)| a.buffer == b.buffer)
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
        let computes = Work::of(plan.goal());
        if self.work != computes {
            return Err(BufferError::Goal {
                got: self.work.name(),
                plan: computes.name(),
            });
        }
        let has = |slot| self.get(slot).is_some();
        if plan.goal() == Goal::LossAndGrad && !has(Slot::Grad) {
            return Err(BufferError::Missing {
                buffer: "grad",
                why: "the plan computes the gradient; GpuCtc::plan_loss does not",
            });
        }
        if plan.goal() == Goal::Loss && has(Slot::Grad) {
            return Err(BufferError::Unexpected {
                buffer: "grad",
                why: "the plan computes no gradient; GpuCtc::plan does",
            });
        }
        if has(Slot::Reduced) && plan.options().reduction == Reduction::None {
            return Err(BufferError::Unexpected {
                buffer: "reduced",
                why: "the plan's options have Reduction::None",
            });
        }
        for (slot, binding) in &self.bindings {
            check_range(slot.name(), binding, needed(plan, *slot), alignment)?;
        }
        if let Some(labels) = self.get(Slot::Labels) {
            let (got, most) = (extent(plan, Slot::Labels, labels), limits.max_binding);
            if plan.shape().label_layout == LabelLayout::Concatenated && got > most {
                let buffer = Slot::Labels.name();
                return Err(BufferError::TooLarge { buffer, got, most });
            }
        }
        self.check_overlaps(plan)
    }

    fn check_overlaps(&self, plan: &Plan) -> Result<(), BufferError> {
        for (written, out) in self.bindings.iter().filter(|(slot, _)| slot.is_written()) {
            let bytes = extent(plan, *written, out);
            let end = out.offset + bytes;
            for (slot, other) in &self.bindings {
                let same = slot == written
                    || (*written, *slot) == (Slot::Grad, Slot::Input) && self.is_in_place();
                let other_bytes = extent(plan, *slot, other);
                let other_end = other.offset + other_bytes;
                // Without elements a range is nowhere: what stands in for it is bound.
                let apart = out.buffer != other.buffer || bytes == 0 || other_bytes == 0;
                if !same && !apart && out.offset < other_end && other.offset < end {
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
        Slot::Path | Slot::LogProbs | Slot::ReadLabels => shape.items * shape.frames,
        Slot::ReadFrames => 2 * shape.items * shape.frames,
        Slot::Spans => 2 * shape.items * shape.max_labels,
        Slot::Probabilities => shape.items * shape.max_labels,
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
