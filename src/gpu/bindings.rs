//! What a caller gave to a plan, whatever it computes, and the checks that it fits.

use crate::batch::LabelLayout;
use crate::error::BufferError;
use crate::kernels::{Aliasing, ArrayId};
use crate::limits::DeviceLimits;
use crate::options::Reduction;
use crate::plan::{Plan, Task};

/// What buffers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Loss,
    Align,
    Greedy,
}

impl Work {
    fn of(task: Task) -> Self {
        match task {
            Task::Loss | Task::LossAndGrad => Self::Loss,
            Task::Align => Self::Align,
            Task::Greedy => Self::Greedy,
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
pub(super) struct Bindings<'a> {
    work: Work,
    bindings: Vec<(ArrayId, wgpu::BufferBinding<'a>)>,
}

impl<'a> Bindings<'a> {
    pub(super) fn new<'b, const N: usize, const M: usize>(
        work: Work,
        needed: [(ArrayId, &'b wgpu::BufferBinding<'a>); N],
        optional: [(ArrayId, &'b Option<wgpu::BufferBinding<'a>>); M],
    ) -> Self
    where
        'a: 'b,
    {
        let needed = needed.map(|(array, binding)| (array, binding.clone()));
        let optional = optional
            .into_iter()
            .filter_map(|(array, binding)| Some((array, binding.clone()?)));
        let mut bindings: Vec<_> = needed.into_iter().chain(optional).collect();
        bindings.sort_by_key(|(array, _)| *array);
        Self { work, bindings }
    }

    /// The buffer of a array, if the caller gave one.
    pub(super) fn get(&self, array: ArrayId) -> Option<&wgpu::BufferBinding<'a>> {
        let mut bindings = self.bindings.iter();
        bindings.find_map(|(known, binding)| (*known == array).then_some(binding))
    }

    /// Whether the gradient lies where the input does.
    pub(super) fn is_in_place(&self) -> bool {
        let both = self.get(ArrayId::Grad).zip(self.get(ArrayId::Input));
        both.is_some_and(|(grad, logits)| {
            grad.buffer == logits.buffer && grad.offset == logits.offset
        })
    }

    /// Whether two of them lie in one `wgpu::Buffer`.
    pub(super) fn aliasing(&self) -> Aliasing {
        let in_place = self.is_in_place();
        let bindings = self.bindings.iter();
        let bindings: Vec<_> = bindings
            .filter(|(array, _)| !(*array == ArrayId::Grad && in_place))
            .collect();
        let shared = |(i, (_, a)): (usize, &&(ArrayId, wgpu::BufferBinding<'_>))| {
            bindings[..i].iter().any(|(_, b)| a.buffer == b.buffer)
        };
        if bindings.iter().enumerate().any(shared) {
            Aliasing::Aliased
        } else {
            Aliasing::Separate
        }
    }

    /// Checks every range against `plan`.
    pub(super) fn check(&self, plan: &Plan, limits: &DeviceLimits) -> Result<(), BufferError> {
        let alignment = limits.offset_alignment.into();
        let computes = Work::of(plan.task());
        if self.work != computes {
            return Err(BufferError::Task {
                got: self.work.name(),
                plan: computes.name(),
            });
        }
        let has = |array| self.get(array).is_some();
        for (array, buffer, why) in required_outputs(plan.task()) {
            if !has(*array) {
                return Err(BufferError::Missing { buffer, why });
            }
        }
        if plan.task() == Task::Loss && has(ArrayId::Grad) {
            return Err(BufferError::Unexpected {
                buffer: "grad",
                why: "the plan computes no gradient; GpuCtc::plan does",
            });
        }
        if has(ArrayId::Reduced) && plan.options().reduction == Reduction::None {
            return Err(BufferError::Unexpected {
                buffer: "reduced",
                why: "the plan's options have Reduction::None",
            });
        }
        for (array, binding) in &self.bindings {
            check_range(array.name(), binding, needed(plan, *array), alignment)?;
        }
        if let Some(labels) = self.get(ArrayId::Labels) {
            let (got, most) = (extent(plan, ArrayId::Labels, labels), limits.max_binding);
            if plan.shape().label_layout == LabelLayout::Concatenated && got > most {
                let buffer = ArrayId::Labels.name();
                return Err(BufferError::TooLarge { buffer, got, most });
            }
        }
        self.check_overlaps(plan)
    }

    fn check_overlaps(&self, plan: &Plan) -> Result<(), BufferError> {
        for (written, out) in self.bindings.iter().filter(|(array, _)| array.is_written()) {
            let bytes = extent(plan, *written, out);
            let end = out.offset + bytes;
            for (array, other) in &self.bindings {
                let same = array == written
                    || (*written, *array) == (ArrayId::Grad, ArrayId::Input) && self.is_in_place();
                let other_bytes = extent(plan, *array, other);
                let other_end = other.offset + other_bytes;
                // Without elements a range is nowhere: what stands in for it is bound.
                let apart = out.buffer != other.buffer || bytes == 0 || other_bytes == 0;
                if !same && !apart && out.offset < other_end && other.offset < end {
                    return Err(BufferError::Overlap {
                        first: written.name(),
                        second: array.name(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The outputs that a caller must bind: each with its field's name and the reason.
fn required_outputs(task: Task) -> &'static [(ArrayId, &'static str, &'static str)] {
    const ALIGNMENT: &str = "the plan writes all of an alignment";
    const GREEDY: &str = "the plan writes all of a greedy hypothesis";
    match task {
        Task::Loss => &[],
        Task::LossAndGrad => &[(
            ArrayId::Grad,
            "grad",
            "the plan computes the gradient; GpuCtc::plan_loss does not",
        )],
        Task::Align => &[
            (ArrayId::Path, "path", ALIGNMENT),
            (ArrayId::LogProbs, "log_probs", ALIGNMENT),
            (ArrayId::Spans, "spans", ALIGNMENT),
            (ArrayId::Probabilities, "probabilities", ALIGNMENT),
            (ArrayId::Loss, "path_log_prob", ALIGNMENT),
        ],
        Task::Greedy => &[
            (ArrayId::HypothesisLabels, "labels", GREEDY),
            (ArrayId::HypothesisLengths, "label_lengths", GREEDY),
            (ArrayId::HypothesisFrames, "frames", GREEDY),
            (ArrayId::Loss, "path_log_prob", GREEDY),
        ],
    }
}

/// The bytes of a array that the plan's shape asks for.
pub(super) fn needed(plan: &Plan, array: ArrayId) -> u64 {
    let shape = plan.shape();
    let words = match array {
        ArrayId::Input | ArrayId::Grad => shape.bytes().div_ceil(4),
        ArrayId::Labels => match shape.label_layout {
            LabelLayout::Padded => shape.items * shape.max_labels,
            LabelLayout::Concatenated => 0,
        },
        ArrayId::Reduced => 1,
        ArrayId::Path | ArrayId::LogProbs | ArrayId::HypothesisLabels => shape.items * shape.frames,
        ArrayId::HypothesisFrames => 2 * shape.items * shape.frames,
        ArrayId::Spans => 2 * shape.items * shape.max_labels,
        ArrayId::Probabilities => shape.items * shape.max_labels,
        _ => shape.items,
    };
    words as u64 * 4
}

/// The bytes of a array that kernels may touch: of concatenated labels all that there are.
fn extent(plan: &Plan, array: ArrayId, binding: &wgpu::BufferBinding<'_>) -> u64 {
    if array == ArrayId::Labels && plan.shape().label_layout == LabelLayout::Concatenated {
        let rest = binding.buffer.size().saturating_sub(binding.offset);
        return binding.size.map_or(rest, |size| size.get().min(rest));
    }
    needed(plan, array)
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
