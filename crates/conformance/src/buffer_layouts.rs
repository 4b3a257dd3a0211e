//! Tests of the arrangements of the caller's buffers: separate buffers, one buffer, gradient in
//! place, and f16.

use super::device::Gpu;
use super::guarded_buffers::{BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, Outputs, run};
use super::random_case::RandomCase;
use super::variants::limits_for_variant;
use ctc_wgpu::{DeviceLimits, GpuCtc, Task};

/// Checks that the results of a batch have the same bits in separate buffers and in one buffer, and
/// that only the outputs are written.
///
/// # Errors
/// The first difference.
pub fn in_one_buffer(gpu: &Gpu, ctc: &GpuCtc, case: &RandomCase) -> Result<Outputs, String> {
    let batch = DeviceBatch::of(&case.batch);
    let plan = ctc.plan(&batch.shape, &case.options);
    let plan = plan.map_err(|e| format!("{}: {e}", case.name))?;
    let [separate, one_buffer] =
        BUFFER_PLACEMENTS.map(|placement| run(gpu, &plan, &batch, placement));
    let (separate, one_buffer) = (separate?, one_buffer?);
    one_buffer.same(&separate, &format!("{}, all in one buffer", case.name))?;
    Ok(separate)
}

/// Checks that a gradient that overwrites the logits has the same bits as one in a separate buffer,
/// with and without checkpoint segments.
///
/// # Errors
/// The first difference.
pub fn in_place(gpu: &Gpu, ctc: &GpuCtc, case: &RandomCase) -> Result<(), String> {
    let (options, batch) = (&case.options, DeviceBatch::of(&case.batch));
    let task = Task::LossAndGrad;
    let segmented = limits_for_variant(&batch.shape, options, task, &ctc.limits(), |variant| {
        variant.checkpointed
    });
    for limits in std::iter::once(ctc.limits()).chain(segmented) {
        let plan = ctc.plan_within(&batch.shape, options, task, &limits);
        let plan = plan.map_err(|e| format!("{}: {e}", case.name))?;
        let separate = run(gpu, &plan, &batch, BufferPlacement::Separate)?;
        let in_place = run(gpu, &plan, &batch, BufferPlacement::InPlace)?;
        in_place.same(&separate, &format!("{}, in place", case.name))?;
    }
    Ok(())
}

/// Checks that f16 logits have the loss of the same numbers in f32, and the gradient of these
/// rounded once; in place too, with infinities and NaN among the logits, and in the plans of GPUs
/// and of software adapters.
///
/// # Errors
/// The first difference.
pub fn f16(gpu: &Gpu, ctc: &GpuCtc, case: &RandomCase) -> Result<(), String> {
    let limits = ctc.limits();
    let mut corrupted = case.clone();
    corrupted.name += " with infinities and NaN";
    let classes = case.batch.classes();
    let odd = [f32::NAN, f32::NEG_INFINITY, -f32::NAN, f32::INFINITY];
    for (item, odd) in (0..case.batch.items()).zip(odd.into_iter().cycle()) {
        if case.batch.valid_frames(item) > 0 {
            let row = case.batch.row(item, 0);
            corrupted.batch.values[row + item % classes] = odd;
        }
    }
    // Only one of the two reads entries of the input as vectors.
    for limits in [limits, limits.software(!limits.software)] {
        check_f16(gpu, ctc, case, &limits)?;
        check_f16(gpu, ctc, &corrupted, &limits)?;
    }
    Ok(())
}

fn check_f16(
    gpu: &Gpu,
    ctc: &GpuCtc,
    case: &RandomCase,
    limits: &DeviceLimits,
) -> Result<(), String> {
    let RandomCase {
        name,
        batch,
        options,
        ..
    } = case;
    let mut batch = batch.clone();
    for value in &mut batch.values {
        *value = half::f16::from_f32(*value).to_f32();
    }
    let wide = DeviceBatch::of(&batch);
    let narrow = wide.clone().narrowed();
    let plan = |batch: &DeviceBatch| {
        let plan = ctc.plan_within(&batch.shape, options, Task::LossAndGrad, limits);
        plan.map_err(|e| format!("{name}: {e}"))
    };
    let expected = run(gpu, &plan(&wide)?, &wide, BufferPlacement::Separate)?;
    for placement in [BufferPlacement::Separate, BufferPlacement::InPlace] {
        let got = run(gpu, &plan(&narrow)?, &narrow, placement)?;
        let got = got.widened(batch.values.len());
        // The loss is f32 in both cases.
        let of_loss = |outputs: &Outputs| Outputs {
            grad: Vec::new(),
            ..outputs.clone()
        };
        of_loss(&got).same(&of_loss(&expected), &format!("{name} as f16"))?;
        for (at, (got, want)) in got.grad.iter().zip(&expected.grad).enumerate() {
            let (got, want) = (f32::from_bits(*got), f32::from_bits(*want));
            let rounded = half::f16::from_f32(want).to_f32();
            // A driver may round to either adjacent f16.
            let near = (got - want).abs() <= (want.abs() * 9.8e-4).max(6.0e-8);
            if !(got.is_nan() && want.is_nan() || got == rounded || near) {
                return Err(format!("{name} as f16, element {at}: {got} is not {want}"));
            }
        }
    }
    Ok(())
}
