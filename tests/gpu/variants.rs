//! Every variant of a plan, forced: each is held against the conformance cases, and gives the bits of the others.

use std::cell::Cell;

use ctc_wgpu::{
    Batch, Ctc, Element, Error, Goal, GpuCtc, LabelLayout, Limits, Options, Plan, Problem, Shape,
    reference,
};

use crate::support::adapters::on_each;
use crate::support::check::{Answer, Tolerance, run_golden, run_semantics};
use crate::support::device::{DeviceBatch, Gpu, Outputs, Placement, on_each_device_within, run};
use crate::support::properties::{draw, run_random};

/// A way to force a variant: limits under which the shape's plan is of that kind, if there are any.
struct Variant {
    name: &'static str,
    limits: fn(&Shape, &Options, &Limits) -> Option<Limits>,
    is_meant: fn(&Plan) -> bool,
    /// Whether it sums rows in the order of the device's own choice.
    same_bits: bool,
}

const VARIANTS: [Variant; 7] = [
    Variant {
        name: "subgroups",
        limits: |_, _, limits| (limits.subgroup > 0).then_some(*limits),
        is_meant: |plan| plan.to_string().contains("with subgroups"),
        same_bits: true,
    },
    Variant {
        name: "barriers",
        limits: |_, _, limits| {
            Some(Limits {
                subgroup: 0,
                ..*limits
            })
        },
        is_meant: |plan| !plan.to_string().contains("subgroups"),
        same_bits: true,
    },
    Variant {
        name: "states in storage",
        limits: |_, _, limits| {
            Some(Limits {
                resident_quads: 0,
                ..*limits
            })
        },
        is_meant: |plan| plan.to_string().contains("by sweep_long"),
        same_bits: true,
    },
    Variant {
        name: "checkpointed",
        limits: |shape, options, limits| {
            lowered(shape, options, limits, |plan| {
                plan.pages() > 1 && plan.chunks() == 1
            })
        },
        is_meant: |plan| plan.to_string().contains("sweep again"),
        same_bits: true,
    },
    Variant {
        name: "checkpointed in storage",
        limits: |shape, options, limits| {
            let limits = Limits {
                resident_quads: 0,
                ..*limits
            };
            lowered(shape, options, &limits, |plan| plan.pages() > 1)
        },
        is_meant: |plan| {
            let printed = plan.to_string();
            printed.contains("sweep again") && printed.contains("by sweep_long")
        },
        same_bits: true,
    },
    Variant {
        name: "gathered",
        limits: |shape, options, limits| lowered(shape, options, limits, |plan| plan.chunks() > 1),
        is_meant: |plan| plan.to_string().contains("GATHER 1"),
        same_bits: true,
    },
    Variant {
        name: "rows as on another kind of device",
        limits: |_, _, limits| {
            Some(Limits {
                software: !limits.software,
                ..*limits
            })
        },
        is_meant: |_| true,
        same_bits: false,
    },
];

/// The limits with the largest binding under which the plan is `cut`.
fn lowered(
    shape: &Shape,
    options: &Options,
    limits: &Limits,
    cut: fn(&Plan) -> bool,
) -> Option<Limits> {
    // By an eighth at a time: some cuts are of a few sizes only.
    let bindings = std::iter::successors(Some(1_u64 << 17), |n| (*n > 512).then_some(*n / 8 * 7));
    bindings
        .map(|max_binding| Limits {
            max_binding,
            ..*limits
        })
        .find(|limits| {
            Plan::new(shape, options, Goal::LossAndGrad, limits).is_ok_and(|plan| cut(&plan))
        })
}

impl Variant {
    /// The limits that force it on a batch, checked.
    fn forced(&self, ctc: &Ctc, batch: &Batch<'_>, options: &Options) -> Option<Limits> {
        let mut shape = *Problem::new(batch, options).ok()?.shape();
        if shape.label_layout == LabelLayout::Concatenated {
            // So the host plans it, for batches whose longest labels differ a little.
            shape.max_labels = shape.max_labels.next_power_of_two();
        }
        let limits = (self.limits)(&shape, options, ctc.limits()?)?;
        let plan = Plan::new(&shape, options, Goal::LossAndGrad, &limits).unwrap();
        (plan.groups() > 0 && (self.is_meant)(&plan)).then_some(limits)
    }
}

/// Every case that the variant can be forced on goes through it; `least` of them there must be.
fn holds(least: usize, suite: impl Fn(&dyn Fn(&Batch<'_>, &Options) -> Result<Answer, Error>)) {
    on_each(|ctc| {
        for variant in &VARIANTS {
            if variant.name == "subgroups" && ctc.limits().unwrap().subgroup == 0 {
                println!("{} has no subgroups of one size", ctc.backend());
                continue;
            }
            let forced = Cell::new(0);
            suite(&|batch, options| {
                let plain = || ctc.loss_and_grad(batch, options);
                let Some(limits) = variant.forced(ctc, batch, options) else {
                    return plain().map(Answer::from);
                };
                forced.set(forced.get() + 1);
                let output = ctc.within(&limits).loss_and_grad(batch, options)?;
                if variant.same_bits {
                    let plain = Outputs::from(plain()?);
                    // A batch cut into groups has a sum of sums.
                    let reduced = plain.reduced.clone();
                    let got = Outputs {
                        reduced,
                        ..Outputs::from(output.clone())
                    };
                    got.same(&plain, variant.name);
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
fn on_each_able_device(test: impl Fn(&Gpu, &GpuCtc)) {
    on_each_device_within(wgpu::Adapter::limits, |gpu| {
        test(gpu, &GpuCtc::new(&gpu.device, &gpu.queue).unwrap());
    });
}

#[test]
fn a_gradient_in_place_of_the_logits_has_the_same_bits() {
    on_each_able_device(|gpu, ctc| {
        for seed in 0..40 {
            let (batch, options) = draw(seed);
            let batch = DeviceBatch::of(&batch);
            let every = lowered(&batch.shape, &options, &ctc.limits(), |plan| {
                plan.pages() > 1
            });
            for limits in std::iter::once(ctc.limits()).chain(every) {
                let plan = ctc
                    .plan_within(&batch.shape, &options, Goal::LossAndGrad, &limits)
                    .unwrap();
                let apart = run(gpu, &plan, &batch, Placement::Apart);
                run(gpu, &plan, &batch, Placement::InPlace).same(&apart, &format!("seed {seed}"));
            }
        }
    });
}

#[test]
fn logits_and_gradients_of_f16_are_those_of_f32_rounded() {
    on_each_able_device(|gpu, ctc| {
        let shape = Shape::new(2, 3, 4, 1).f16();
        if !ctc.limits().f16 {
            let error = ctc.plan(&shape, &Options::default()).unwrap_err();
            assert!(error.to_string().contains("SHADER_F16"), "{error}");
            println!("{} has no f16", gpu.name);
            return;
        }
        for seed in 0..60 {
            let (mut batch, options) = draw(seed);
            for value in &mut batch.values {
                *value = half::f16::from_f32(*value).to_f32();
            }
            if reference::loss_and_grad(&batch.batch(), &options).is_err() {
                continue;
            }
            let wide = DeviceBatch::of(&batch);
            let narrow = wide.clone().narrowed();
            assert_eq!(narrow.shape.element, Element::F16);
            let plan = |shape: &Shape| ctc.plan(shape, &options).unwrap();
            let expected = run(gpu, &plan(&wide.shape), &wide, Placement::Apart);
            for placement in [Placement::Apart, Placement::InPlace] {
                let plan = plan(&narrow.shape);
                let got = run(gpu, &plan, &narrow, placement);
                let got = got.widened(batch.values.len());
                // The loss does not know of the narrower numbers; the gradient is rounded once.
                assert_eq!(got.loss, expected.loss, "seed {seed}");
                assert_eq!(got.status, expected.status, "seed {seed}");
                for (at, (got, want)) in got.grad.iter().zip(&expected.grad).enumerate() {
                    let (got, want) = (f32::from_bits(*got), f32::from_bits(*want));
                    let rounded = half::f16::from_f32(want).to_f32();
                    let near = (got - want).abs() <= (want.abs() * 9.8e-4).max(6.0e-8);
                    let same = got.is_nan() && want.is_nan() || got == rounded || near;
                    assert!(same, "seed {seed} element {at}: {got} is not {want}");
                }
            }
        }
    });
}
