//! What only buffers of the caller's can show: where they lie among each other, and what they are made of.

use super::device::Gpu;
use super::guarded_buffers::{BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, Outputs, run};
use super::random_case::RandomCase;
use super::variants::lowered;
use crate::{GpuCtc, Task};

/// In buffers of their own and in one for all, a batch gives the same bits, and nothing but the outputs is written.
///
/// # Errors
/// What was not as it must be.
pub fn together(gpu: &Gpu, ctc: &GpuCtc, drawn: &RandomCase) -> Result<Outputs, String> {
    let batch = DeviceBatch::of(&drawn.batch);
    let plan = ctc.plan(&batch.shape, &drawn.options);
    let plan = plan.map_err(|e| format!("{}: {e}", drawn.name))?;
    let [apart, together] = BUFFER_PLACEMENTS.map(|placement| run(gpu, &plan, &batch, placement));
    let (apart, together) = (apart?, together?);
    together.same(&apart, &format!("{}, all in one buffer", drawn.name))?;
    Ok(apart)
}

/// A gradient in place of the logits has the bits of one beside them, whether the states fit the memory or not.
///
/// # Errors
/// What was not as it must be.
pub fn in_place(gpu: &Gpu, ctc: &GpuCtc, drawn: &RandomCase) -> Result<(), String> {
    let (options, batch) = (&drawn.options, DeviceBatch::of(&drawn.batch));
    let task = Task::LossAndGrad;
    let paged = lowered(&batch.shape, options, task, &ctc.limits(), |variant| {
        variant.checkpointed
    });
    for limits in std::iter::once(ctc.limits()).chain(paged) {
        let plan = ctc.plan_within(&batch.shape, options, task, &limits);
        let plan = plan.map_err(|e| format!("{}: {e}", drawn.name))?;
        let apart = run(gpu, &plan, &batch, BufferPlacement::Apart)?;
        let in_place = run(gpu, &plan, &batch, BufferPlacement::InPlace)?;
        in_place.same(&apart, &format!("{}, in place", drawn.name))?;
    }
    Ok(())
}

/// Logits of f16 have the loss of the same numbers in f32, and the gradient of that rounded once; in place too; and so it is where
/// numbers are infinite or none.
///
/// # Errors
/// What was not as it must be.
pub fn narrow(gpu: &Gpu, ctc: &GpuCtc, drawn: &RandomCase) -> Result<(), String> {
    narrow_as_it_is(gpu, ctc, drawn)?;
    let mut spoiled = drawn.clone();
    spoiled.name += " with odd numbers";
    let classes = drawn.batch.classes();
    let odd = [f32::NAN, f32::NEG_INFINITY, -f32::NAN, f32::INFINITY];
    for (item, odd) in (0..drawn.batch.items()).zip(odd.into_iter().cycle()) {
        if drawn.batch.counting(item) > 0 {
            let row = drawn.batch.row(item, 0);
            spoiled.batch.values[row + item % classes] = odd;
        }
    }
    narrow_as_it_is(gpu, ctc, &spoiled)
}

fn narrow_as_it_is(gpu: &Gpu, ctc: &GpuCtc, drawn: &RandomCase) -> Result<(), String> {
    let RandomCase {
        name,
        batch,
        options,
        ..
    } = drawn;
    let mut batch = batch.clone();
    for value in &mut batch.values {
        *value = half::f16::from_f32(*value).to_f32();
    }
    let wide = DeviceBatch::of(&batch);
    let narrow = wide.clone().narrowed();
    let plan = |batch: &DeviceBatch| {
        let plan = ctc.plan(&batch.shape, options);
        plan.map_err(|e| format!("{name}: {e}"))
    };
    let expected = run(gpu, &plan(&wide)?, &wide, BufferPlacement::Apart)?;
    for placement in [BufferPlacement::Apart, BufferPlacement::InPlace] {
        let got = run(gpu, &plan(&narrow)?, &narrow, placement)?;
        let got = got.widened(batch.values.len());
        // The loss does not know of the narrower numbers.
        let of_loss = |outputs: &Outputs| Outputs {
            grad: Vec::new(),
            ..outputs.clone()
        };
        of_loss(&got).same(&of_loss(&expected), &format!("{name} as f16"))?;
        for (at, (got, want)) in got.grad.iter().zip(&expected.grad).enumerate() {
            let (got, want) = (f32::from_bits(*got), f32::from_bits(*want));
            let rounded = half::f16::from_f32(want).to_f32();
            // A driver may round to either neighbour.
            let near = (got - want).abs() <= (want.abs() * 9.8e-4).max(6.0e-8);
            if !(got.is_nan() && want.is_nan() || got == rounded || near) {
                return Err(format!("{name} as f16, element {at}: {got} is not {want}"));
            }
        }
    }
    Ok(())
}
