//! Every variant of a plan is forced, checked against the conformance cases, and compared bit for
//! bit with the default plan.

use std::cell::Cell;

use ctc_wgpu::{Batch, BatchShape, Error, GpuCtc, Options};

use crate::support::adapters::on_each;
use crate::support::buffer_layouts;
use crate::support::check::{
    Computed, Tolerance, run_cases, run_golden, run_random, run_semantics,
};
use crate::support::device::{Gpu, Outputs, on_each_device_within};
use crate::support::extreme_values::near_underflow;
use crate::support::random_case::RandomCase;
use crate::support::variants::VARIANTS;

/// Runs `suite` with each variant. At least `min_cases` of its cases must use the variant, unless
/// it needs long labels and the suite has none.
fn holds(
    min_cases: usize,
    has_long_labels: bool,
    suite: impl Fn(&dyn Fn(&Batch<'_>, &Options) -> Result<Computed, Error>),
) {
    on_each(|ctc| {
        for variant in &VARIANTS {
            let limits = ctc.limits().unwrap();
            if !variant.is_supported(limits) {
                println!("{} does not support {}", ctc.backend(), variant.name);
                continue;
            }
            let forced = Cell::new(0);
            suite(&|batch, options| {
                let plain = || ctc.loss_and_grad(batch, options);
                let Some(limits) = variant.forced(limits, batch, options) else {
                    return plain().map(Computed::from);
                };
                forced.set(forced.get() + 1);
                let output = ctc
                    .with_limits(&limits)
                    .unwrap()
                    .loss_and_grad(batch, options)?;
                if variant.same_bits {
                    let plain = Outputs::from(plain()?);
                    // The reduced loss of several tiles is summed in another order.
                    let reduced = plain.reduced.clone();
                    let got = Outputs {
                        reduced,
                        ..Outputs::from(output.clone())
                    };
                    got.same(&plain, variant.name).unwrap();
                }
                Ok(output.into())
            });
            println!(
                "{}: {} cases of {}",
                ctc.backend(),
                forced.get(),
                variant.name
            );
            let min_cases = if variant.needs_long_labels && !has_long_labels {
                0
            } else {
                min_cases
            };
            assert!(
                forced.get() >= min_cases,
                "{}: {}",
                variant.name,
                forced.get()
            );
        }
    });
}

#[test]
fn every_variant_holds_the_golden_cases() {
    holds(20, true, |run| run_golden(run, Tolerance::F32));
}

#[test]
fn every_variant_holds_the_table_of_semantics() {
    holds(1, false, |run| run_semantics(run, Tolerance::F32));
}

#[test]
fn every_variant_agrees_with_the_reference_on_random_batches() {
    holds(20, true, |run| run_random(run, Tolerance::F32, 0..80));
}

#[test]
fn every_variant_counts_the_same_occupancies_as_0() {
    holds(1, true, |run| {
        run_cases("near underflow", near_underflow(), run, Tolerance::F32);
    });
}

/// Runs `test` on each device with every feature that kernels can use.
fn on_each_full_device(test: impl Fn(&Gpu, &GpuCtc) -> Result<(), String>) {
    on_each_device_within(wgpu::Adapter::limits, |gpu| {
        test(gpu, &GpuCtc::new(&gpu.device, &gpu.queue).unwrap()).unwrap();
    });
}

#[test]
fn a_gradient_in_place_of_the_logits_has_the_same_bits() {
    on_each_full_device(|gpu, ctc| {
        (0..40).try_for_each(|seed| buffer_layouts::in_place(gpu, ctc, &RandomCase::of(seed)))
    });
}

#[test]
fn logits_and_gradients_of_f16_are_those_of_f32_rounded() {
    on_each_full_device(|gpu, ctc| {
        if ctc.limits().f16 {
            return (0..60)
                .try_for_each(|seed| buffer_layouts::f16(gpu, ctc, &RandomCase::of(seed)));
        }
        let shape = BatchShape::new(2, 3, 4, 1).f16();
        let error = ctc.plan(&shape, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("SHADER_F16"), "{error}");
        println!("{} does not support f16", gpu.name);
        Ok(())
    });
}
