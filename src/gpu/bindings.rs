//! The caller's buffers for any task, and the checks that they fit a plan.

use crate::batch::LabelLayout;
use crate::error::BufferError;
use crate::kernels::{Aliasing, ArrayId};
use crate::limits::DeviceLimits;
use crate::options::Reduction;
use crate::plan::{Plan, Task};

/// The kind of a set of buffers. Each kind has a struct of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BufferSet {
    Loss,
    Align,
    Greedy,
}

impl BufferSet {
    fn of(task: Task) -> Self {
        match task {
            Task::Loss | Task::LossAndGrad => Self::Loss,
            Task::Align => Self::Align,
            Task::Greedy => Self::Greedy,
        }
    }

    /// Returns what the buffers are for, as in "the buffers of a loss".
    fn name(self) -> &'static str {
        match self {
            Self::Loss => "a loss",
            Self::Align => "an alignment",
            Self::Greedy => "greedy decoding",
        }
    }

    /// Returns the name of the field of an array in [`Buffers`](crate::Buffers),
    /// [`AlignBuffers`](crate::AlignBuffers) or [`GreedyBuffers`](crate::GreedyBuffers).
    fn field(self, array: ArrayId) -> &'static str {
        match (self, array) {
            (Self::Align | Self::Greedy, ArrayId::Loss) => "path_log_prob",
            (Self::Greedy, ArrayId::HypothesisLabels) => "labels",
            (Self::Greedy, ArrayId::HypothesisLengths) => "label_lengths",
            (Self::Greedy, ArrayId::HypothesisFrames) => "frames",
            _ => array.name(),
        }
    }
}

/// The caller's buffers and their array IDs, in the order of the IDs.
pub(super) struct Bindings<'a> {
    set: BufferSet,
    bindings: Vec<(ArrayId, wgpu::BufferBinding<'a>)>,
}

impl<'a> Bindings<'a> {
    pub(super) fn new<'b, const N: usize, const M: usize>(
        set: BufferSet,
        required: [(ArrayId, &'b wgpu::BufferBinding<'a>); N],
        optional: [(ArrayId, &'b Option<wgpu::BufferBinding<'a>>); M],
    ) -> Self
    where
        'a: 'b,
    {
        let required = required.map(|(array, binding)| (array, binding.clone()));
        let optional = optional
            .into_iter()
            .filter_map(|(array, binding)| Some((array, binding.clone()?)));
        let mut bindings: Vec<_> = required.into_iter().chain(optional).collect();
        bindings.sort_by_key(|(array, _)| *array);
        Self { set, bindings }
    }

    /// Returns the caller's buffer for `array`, if any.
    pub(super) fn get(&self, array: ArrayId) -> Option<&wgpu::BufferBinding<'a>> {
        let mut bindings = self.bindings.iter();
        bindings.find_map(|(known, binding)| (*known == array).then_some(binding))
    }

    /// Returns true if the gradient overwrites the input.
    pub(super) fn is_in_place(&self) -> bool {
        let both = self.get(ArrayId::Grad).zip(self.get(ArrayId::Input));
        both.is_some_and(|(grad, logits)| {
            grad.buffer == logits.buffer && grad.offset == logits.offset
        })
    }

    /// Returns whether two arrays are in one `wgpu::Buffer`, which needs another variant of the
    /// shader source.
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

    /// Checks that the buffers are those of the task of `plan`, that each fits its array and the
    /// limits, and that no output overlaps another array.
    pub(super) fn check(&self, plan: &Plan, limits: &DeviceLimits) -> Result<(), BufferError> {
        let alignment = limits.offset_alignment.into();
        let required = BufferSet::of(plan.task());
        if self.set != required {
            return Err(BufferError::Task {
                got: self.set.name(),
                plan: required.name(),
            });
        }
        let has = |array| self.get(array).is_some();
        for (array, why) in required_outputs(plan.task()) {
            if !has(*array) {
                let buffer = self.set.field(*array);
                return Err(BufferError::Missing { buffer, why });
            }
        }
        if plan.task() == Task::Loss && has(ArrayId::Grad) {
            return Err(BufferError::Unexpected {
                buffer: "grad",
                why: "the plan computes no gradient; one created by GpuCtc::plan does",
            });
        }
        if has(ArrayId::Reduced) && plan.options().reduction == Reduction::None {
            return Err(BufferError::Unexpected {
                buffer: "reduced",
                why: "the plan's options have Reduction::None",
            });
        }
        for (array, binding) in &self.bindings {
            check_range(
                self.set.field(*array),
                binding,
                required_bytes(plan, *array),
                alignment,
            )?;
        }
        if let Some(labels) = self.get(ArrayId::Labels) {
            let got = accessible_bytes(plan, ArrayId::Labels, labels);
            let max = limits.max_binding;
            if plan.shape().label_layout == LabelLayout::Concatenated && got > max {
                let buffer = self.set.field(ArrayId::Labels);
                return Err(BufferError::TooLarge { buffer, got, max });
            }
        }
        self.check_overlaps(plan)
    }

    /// Checks that no output overlaps another array, except that the gradient may overwrite the
    /// input.
    fn check_overlaps(&self, plan: &Plan) -> Result<(), BufferError> {
        for (written, out) in self.bindings.iter().filter(|(array, _)| array.is_written()) {
            let bytes = accessible_bytes(plan, *written, out);
            let end = out.offset + bytes;
            for (array, other) in &self.bindings {
                let same = array == written
                    || (*written, *array) == (ArrayId::Grad, ArrayId::Input) && self.is_in_place();
                let other_bytes = accessible_bytes(plan, *array, other);
                let other_end = other.offset + other_bytes;
                // Empty arrays do not overlap, since a default buffer is bound instead.
                let disjoint = out.buffer != other.buffer || bytes == 0 || other_bytes == 0;
                if !same && !disjoint && out.offset < other_end && other.offset < end {
                    return Err(BufferError::Overlap {
                        first: self.set.field(*written),
                        second: self.set.field(*array),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Returns the outputs that a caller must bind, each with the reason.
fn required_outputs(task: Task) -> &'static [(ArrayId, &'static str)] {
    const ALIGNMENT: &str = "the plan writes every output of an alignment";
    const GREEDY: &str = "the plan writes every output of greedy decoding";
    match task {
        Task::Loss => &[],
        Task::LossAndGrad => &[(
            ArrayId::Grad,
            "the plan computes the gradient; GpuCtc::plan_loss does not",
        )],
        Task::Align => &[
            (ArrayId::Path, ALIGNMENT),
            (ArrayId::LogProbs, ALIGNMENT),
            (ArrayId::Spans, ALIGNMENT),
            (ArrayId::Probabilities, ALIGNMENT),
            (ArrayId::Loss, ALIGNMENT),
        ],
        Task::Greedy => &[
            (ArrayId::HypothesisLabels, GREEDY),
            (ArrayId::HypothesisLengths, GREEDY),
            (ArrayId::HypothesisFrames, GREEDY),
            (ArrayId::Loss, GREEDY),
        ],
    }
}

/// Returns the bytes that an array needs for the plan's shape. Concatenated labels may have any
/// size.
pub(super) fn required_bytes(plan: &Plan, array: ArrayId) -> u64 {
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

/// Returns the bytes of an array that kernels may access: for concatenated labels, the whole
/// binding.
fn accessible_bytes(plan: &Plan, array: ArrayId, binding: &wgpu::BufferBinding<'_>) -> u64 {
    if array == ArrayId::Labels && plan.shape().label_layout == LabelLayout::Concatenated {
        let rest = binding.buffer.size().saturating_sub(binding.offset);
        return binding.size.map_or(rest, |size| size.get().min(rest));
    }
    required_bytes(plan, array)
}

/// Checks the usage of a caller's binding, its offset, and that it has at least `needs` bytes.
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
