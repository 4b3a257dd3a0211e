//! The checks before a batch is split: invalid shapes, options and limits, and arrays that exceed a
//! buffer.

use crate::batch::{BatchShape, LONGEST_AXIS, LabelLayout, check_epsilon};
use crate::error::{ParameterError, PlanError};
use crate::kernels::ElementType;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::Task;

/// The maximum bytes of an array of the batch, whatever the device reports. Offsets into an array,
/// and twice such an offset, then fit in 64 bits.
const LARGEST_ARRAY: u64 = 1 << 62;

const WORD: u64 = 4;

/// Checks the shape, the options and the limits.
///
/// # Errors
/// The first rule that is violated.
pub(super) fn check(
    shape: &BatchShape,
    options: &Options,
    task: Task,
    limits: &DeviceLimits,
) -> Result<(), PlanError> {
    for (axis, value, min) in [
        ("items N", shape.items, 0),
        ("frames T", shape.frames, 0),
        ("classes C", shape.classes, 1),
        ("max_labels Lmax", shape.max_labels, 0),
    ] {
        if value < min || value > LONGEST_AXIS {
            return Err(ParameterError::Axis {
                axis,
                value: value as u64,
                rule: if value < min {
                    "at least 1: the blank is a class"
                } else {
                    "below 2^31"
                },
            }
            .into());
        }
    }
    check_buffers(shape, task, limits)?;
    let blank = options.blank.index(shape.classes);
    if blank >= shape.classes {
        let classes = shape.classes;
        return Err(ParameterError::Blank { blank, classes }.into());
    }
    if shape.element == ElementType::F16 && !limits.f16 {
        return Err(PlanError::Feature {
            feature: "SHADER_F16",
            what: "an f16 input",
        });
    }
    check_epsilon(options.input)?;
    for (limit, value) in [
        ("offset_alignment", limits.offset_alignment),
        ("subgroup_size", limits.subgroup_size),
        ("pairs_per_lane", limits.pairs_per_lane),
    ] {
        if value != 0 && !value.is_power_of_two() {
            return Err(PlanError::NotPowerOfTwo { limit, value });
        }
    }
    for (limit, has, needs, what) in [
        (
            "max_storage_buffers_per_shader_stage",
            limits.max_storage_buffers,
            DeviceLimits::STORAGE_BUFFERS,
            "the stage that checks labels",
        ),
        (
            "max_compute_invocations_per_workgroup",
            limits.max_invocations,
            32,
            "every stage",
        ),
        (
            "max_compute_workgroup_storage_size",
            limits.workgroup_memory,
            8192,
            "every stage",
        ),
        (
            "max_compute_workgroups_per_dimension",
            limits.max_workgroups,
            2,
            "every stage",
        ),
    ] {
        if has < needs {
            return Err(PlanError::Limit {
                limit,
                has: has.into(),
                needs: needs.into(),
                what,
            });
        }
    }
    Ok(())
}

/// Checks that each array of the batch fits a buffer. The planning that follows can then compute
/// offsets into the arrays in 64 bits.
fn check_buffers(shape: &BatchShape, task: Task, limits: &DeviceLimits) -> Result<(), PlanError> {
    let [items, frames, classes, labels] =
        [shape.items, shape.frames, shape.classes, shape.max_labels].map(|n| n as u64);
    // Without frames the input is empty for any number of items and classes, so these are checked
    // as for one frame.
    let input = [items, frames.max(1), classes, shape.element.bytes() as u64];
    let padded = match shape.label_layout {
        LabelLayout::Padded => labels,
        LabelLayout::Concatenated => 0,
    };
    let mut arrays = vec![
        ("the input", input),
        ("the labels", [items, padded, 1, WORD]),
    ];
    match task {
        Task::Loss | Task::LossAndGrad => {}
        Task::Align => arrays.extend([
            ("the path", [items, frames, 1, WORD]),
            ("the spans", [items, labels, 2, WORD]),
        ]),
        Task::Greedy => arrays.push(("the frames of the labels", [items, frames, 2, WORD])),
    }
    for (what, sizes) in arrays {
        let needs = sizes.into_iter().fold(1, u64::saturating_mul);
        if needs > limits.max_buffer {
            return Err(PlanError::Limit {
                limit: "max_buffer_size",
                has: limits.max_buffer,
                needs,
                what,
            });
        }
        if needs > LARGEST_ARRAY {
            return Err(PlanError::Array {
                what,
                max: LARGEST_ARRAY,
            });
        }
    }
    Ok(())
}
