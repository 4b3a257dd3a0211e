//! Every variant of a plan, forced: each is held against the conformance cases, and gives the bits of the others.

use std::cell::Cell;

use ctc_wgpu::{Batch, BatchShape, Error, GpuCtc, Options};

use crate::support::adapters::on_each;
use crate::support::buffer_layouts;
use crate::support::check::{Answer, Tolerance, run_golden, run_random, run_semantics};
use crate::support::device::{Gpu, Outputs, on_each_device_within};
use crate::support::random_case::RandomCase;
use crate::support::variants::VARIANTS;

/// Every case that the variant can be forced on goes through it; `least` of them there must be.
fn holds(least: usize, suite: impl Fn(&dyn Fn(&Batch<'_>, &Options) -> Result<Answer, Error>)) {
    on_each(|ctc| {
        for variant in &VARIANTS {
            if !variant.is_there(ctc.limits().unwrap()) {
                println!("{} has no {}", ctc.backend(), variant.name);
                continue;
            }
            let forced = Cell::new(0);
            suite(&|batch, options| {
                let plain = || ctc.loss_and_grad(batch, options);
                let Some(limits) = variant.forced(ctc, batch, options) else {
                    return plain().map(Answer::from);
                };
                forced.set(forced.get() + 1);
                let output = ctc
                    .with_limits(&limits)
                    .unwrap()
                    .loss_and_grad(batch, options)?;
                if variant.same_bits {
                    let plain = Outputs::from(plain()?);
                    // A batch cut into groups has a sum of sums.
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
            assert!(forced.get() >= least, "{}: {}", variant.name, forced.get());
        }
    });
}

#[test]
fn every_variant_holds_the_golden_cases() {
    holds(20, |run| run_golden(run, Tolerance::F32));
}

#[test]
fn every_variant_holds_the_table_of_semantics() {
    holds(0, |run| run_semantics(run, Tolerance::F32));
}

#[test]
fn every_variant_agrees_with_the_reference_on_random_batches() {
    holds(20, |run| run_random(run, Tolerance::F32, 0..60));
}

/// Runs `test` on each device with every feature that kernels can use.
fn on_each_able_device(test: impl Fn(&Gpu, &GpuCtc) -> Result<(), String>) {
    on_each_device_within(wgpu::Adapter::limits, |gpu| {
        test(gpu, &GpuCtc::new(&gpu.device, &gpu.queue).unwrap()).unwrap();
    });
}

#[test]
fn a_gradient_in_place_of_the_logits_has_the_same_bits() {
    on_each_able_device(|gpu, ctc| {
        (0..40).try_for_each(|seed| buffer_layouts::in_place(gpu, ctc, &RandomCase::of(seed)))
    });
}

#[test]
fn logits_and_gradients_of_f16_are_those_of_f32_rounded() {
    on_each_able_device(|gpu, ctc| {
        if ctc.limits().f16 {
            return (0..60)
                .try_for_each(|seed| buffer_layouts::narrow(gpu, ctc, &RandomCase::of(seed)));
        }
        let shape = BatchShape::new(2, 3, 4, 1).f16();
        let error = ctc.plan(&shape, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("SHADER_F16"), "{error}");
        println!("{} has no f16", gpu.name);
        Ok(())
    });
}
